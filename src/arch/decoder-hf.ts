/** A decoder as Hugging Face's transformers describes it: `config.json` and the names of its tensors. */
import { VeritError } from '../lib/errors.ts'
import { fieldRules, parseDecoder } from './decoder-config.ts'
import type { DecoderConfig, Field } from './decoder-config.ts'
import type { Description, HfDescription } from './description.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'
import { frequencies } from './rotary.ts'

/** Names of the common fields in `config.json`. */
const USUAL: Readonly<Partial<Record<Field, string>>> = {
  layers: 'num_hidden_layers',
  hidden: 'hidden_size',
  heads: 'num_attention_heads',
  kvHeads: 'num_key_value_heads',
  headDim: 'head_dim',
  ffn: 'intermediate_size',
  context: 'max_position_embeddings',
  vocab: 'vocab_size',
  eps: 'rms_norm_eps'
}

/** Names inside `model.layers.N.`. */
const INNER: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_qkv: 'self_attn.qkv_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj'
}

const OUTER: Readonly<Record<string, string>> = {
  token_embedding: 'model.embed_tokens.weight',
  'head.weight': 'lm_head.weight',
  'final_norm.weight': 'model.norm.weight'
}

/** 'blocks.3.attn_q.weight' -> 'model.layers.3.self_attn.q_proj.weight'. */
export function hfTensorName(parameter: string, { names = {} }: HfDescription): string {
  const outer = OUTER[parameter]
  if (outer !== undefined) return outer
  const [, block, layer, suffix] = parameter.split('.') as [string, string, string, string]
  return `model.layers.${block}.${names[layer] ?? INNER[layer]}.${suffix}`
}

/**
 * @param json the content of `config.json`
 * @param has whether there is a tensor of a name
 * @throws VeritError VERIT_MODEL_CONFIG naming the field of `config.json`
 */
export function readHfDecoder(json: Fields, has: (tensor: string) => boolean, d: Description): DecoderConfig {
  const hf = d.hf!
  const names: Readonly<Record<string, string>> = { ...USUAL, ...hf.fields }
  const fields: Record<string, unknown> = {}
  for (const [field, name] of Object.entries(names)) fields[field] = json[name] ?? undefined
  try {
    checkOptions(json, hf)
    const tied = json['tie_word_embeddings'] ?? !has(OUTER['head.weight']!)
    if (tied === has(OUTER['head.weight']!))
      fail('tie_word_embeddings', `is ${String(tied)}, which is not what the tensors show`)
    const biases = (d.optionalBiases ?? []).filter(name => has(hfTensorName(`blocks.0.${name}.bias`, hf)))
    const derived = hf.derive?.(json) ?? {}
    const plain = parseDecoder({ ...fields, tied, biases, ...derived }, d)
    return parseDecoder({ ...plain, kind: undefined, ...ropeFields(json, plain, hf), ...derived }, d)
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw e
    const { field, problem } = e.fields
    throw new VeritError('VERIT_MODEL_CONFIG', { field: names[field] ?? field, problem }, e)
  }
}

/** Options that would make another model of the same tensors. */
function checkOptions(json: Fields, { activation, only = {} }: HfDescription): void {
  if (json['quantization_config'] !== undefined)
    fail('quantization_config', 'is given, and quantised weights are not supported here')
  const act = json['hidden_activation'] ?? json['hidden_act'] ?? activation
  if (act !== activation) fail('hidden_act', `is ${JSON.stringify(act)}, where ${activation} is supported`)
  for (const [name, allowed] of Object.entries(only)) {
    const value = json[name] ?? null
    if (!allowed.includes(value)) fail(name, `is ${JSON.stringify(value)}, which is not supported`)
  }
}

const object = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})

function ropeFields(json: Fields, config: DecoderConfig, hf: HfDescription): Fields {
  const given = { ...object(json['rope_scaling']), ...object(json['rope_parameters']) }
  const rope: Fields = { ...given, ...object(given[hf.rope ?? '']) }
  const number = (name: string): number => {
    const value = rope[name]
    return typeof value === 'number' && value > 0 && value < Infinity
      ? value
      : fail(`rope_scaling.${name}`, 'must be a positive number')
  }
  const ropeTheta = rope['rope_theta'] ?? json['rope_theta'] ?? undefined
  const part = rope['partial_rotary_factor'] ?? json['partial_rotary_factor'] ?? 1
  const ropeDim =
    typeof part === 'number' ? Math.floor(config.headDim * part) : fail('partial_rotary_factor', 'must be a number')
  const type = rope['rope_type'] ?? rope['type'] ?? 'default'
  const base = { ropeTheta, ropeDim }
  if (type === 'default') return base
  const ropeFactor = number('factor')
  if (type === 'linear') return { ...base, ropeScaling: 'linear', ropeFactor }
  if (type === 'llama3') {
    const theta =
      typeof ropeTheta === 'number' && ropeTheta >= 1 && ropeTheta < fieldRules.ropeTheta.high! ? ropeTheta : 10_000
    const [low, high] = [number('low_freq_factor'), number('high_freq_factor')]
    const original = number('original_max_position_embeddings')
    return {
      ...base,
      ropeDivisors: llama3Divisors(frequencies({ theta, dim: ropeDim }), ropeFactor, low, high, original)
    }
  }
  if (type !== 'yarn') return fail('rope_scaling.rope_type', `is ${JSON.stringify(type)}, which is not supported`)
  for (const name of ['attention_factor', 'mscale', 'mscale_all_dim'])
    if (rope[name] !== undefined) fail(`rope_scaling.${name}`, 'is not supported')
  if ((rope['truncate'] ?? true) !== true) fail('rope_scaling.truncate', 'is not supported')
  const ropeOriginalContext = rope['original_max_position_embeddings'] ?? config.context
  const yarn = { yarnBetaFast: rope['beta_fast'] ?? undefined, yarnBetaSlow: rope['beta_slow'] ?? undefined }
  return { ...base, ropeScaling: 'yarn', ropeFactor, ropeOriginalContext, ...yarn }
}

const TAU = 6.283185307179586

/**
 * Frequency divisors of Llama 3.1: 1 for short wavelengths, the factor for long ones, interpolated between. f32, as in
 * files.
 */
function llama3Divisors(plain: Float64Array, factor: number, low: number, high: number, original: number): number[] {
  return [...plain].map(frequency => {
    const wave = TAU / frequency
    if (wave < original / high) return 1
    if (wave > original / low) return Math.fround(factor)
    const share = (original / wave - low) / (high - low)
    return Math.fround(1 / ((1 - share) / factor + share))
  })
}

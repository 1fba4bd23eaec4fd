/**
 * A BitNet model as Hugging Face's transformers writes it (`BitNetConfig`, or `LlamaConfig` with
 * `quantization_config`): `config.json`, the names of its tensors, and how its ternary weights are stored. Options that
 * would make another model of the same tensors are refused.
 */
import type { HfFormat, Parameter, TernaryStorage } from './architecture.ts'
import { hfFloat } from './hf-float.ts'
import type { BitnetConfig } from './bitnet.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'

/** Names inside `model.layers.N.`; 1bitLLM's models call the two inner norms otherwise. */
const INNER: Readonly<Record<string, readonly string[]>> = {
  attn_norm: ['input_layernorm'],
  attn_q: ['self_attn.q_proj'],
  attn_k: ['self_attn.k_proj'],
  attn_v: ['self_attn.v_proj'],
  attn_out: ['self_attn.o_proj'],
  attn_sub_norm: ['self_attn.attn_sub_norm', 'self_attn.inner_attn_ln'],
  mlp_norm: ['post_attention_layernorm'],
  mlp_gate: ['mlp.gate_proj'],
  mlp_up: ['mlp.up_proj'],
  mlp_down: ['mlp.down_proj'],
  mlp_sub_norm: ['mlp.ffn_sub_norm', 'mlp.ffn_layernorm']
}

const HEAD = 'lm_head.weight'

const OUTER: Readonly<Record<string, string>> = {
  token_embedding: 'model.embed_tokens.weight',
  'head.weight': HEAD,
  'final_norm.weight': 'model.norm.weight'
}

function tensorNames(parameter: string): readonly string[] {
  const outer = OUTER[parameter]
  if (outer !== undefined) return [outer]
  const [, block, layer] = parameter.split('.') as [string, string, string]
  return INNER[layer]!.map(name => `model.layers.${block}.${name}.weight`)
}

/** @param parse checks a configuration */
export function bitnetHf(parse: (fields: Fields) => BitnetConfig): HfFormat<BitnetConfig> {
  return {
    modelTypes: ['bitnet', 'llama'],
    claims: json => json['model_type'] === 'bitnet' || json['quantization_config'] !== undefined,
    read: (json, has) => read(json, has, parse),
    write,
    layouts: (p: Parameter) => tensorNames(p.name).map(name => [{ name, shape: p.shape }]),
    addend: () => 0,
    ternaryStorage: json => storageOf(quantizationOf(json))
  }
}

const object = (value: unknown, name: string): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : fail(name, 'is not an object')

const quantizationOf = (json: Fields): Fields =>
  object(json['quantization_config'] ?? { quant_method: 'bitnet', quantization_mode: 'online' }, 'quantization_config')

const storageOf = (quantization: Fields): TernaryStorage => ({
  scale: quantization['linear_class'] === 'autobitlinear' ? 'multiplies' : 'divides',
  latent: quantization['quantization_mode'] === 'online'
})

function only(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (!allowed.includes(value ?? null)) fail(name, `is ${JSON.stringify(value)}, which is not supported`)
}

function read(json: Fields, has: (tensor: string) => boolean, parse: (fields: Fields) => BitnetConfig): BitnetConfig {
  const field = (name: string, fallback?: unknown): unknown => json[name] ?? fallback ?? fail(name, 'is missing')
  const activation = field('hidden_act', json['model_type'] === 'bitnet' ? 'relu2' : 'silu')
  only('hidden_act', activation, ['relu2', 'silu'])
  for (const name of ['attention_bias', 'mlp_bias', 'sliding_window', 'rope_scaling'])
    only(name, json[name], [null, false])
  const rope = object(json['rope_parameters'] ?? {}, 'rope_parameters')
  only('rope_parameters.rope_type', rope['rope_type'], [null, 'default'])
  const tied = json['tie_word_embeddings'] ?? !has(HEAD)
  if (tied === has(HEAD)) {
    const there = has(HEAD) ? 'a' : 'no'
    fail('tie_word_embeddings', `is ${JSON.stringify(tied)}, and there is ${there} tensor ${HEAD}`)
  }

  const quantization = quantizationOf(json)
  const option = (name: string, allowed: readonly unknown[]): void =>
    only(`quantization_config.${name}`, quantization[name], allowed)
  option('quant_method', ['bitnet'])
  option('use_rms_norm', [null, false])
  option('linear_class', [null, 'bitlinear', 'autobitlinear'])
  option('quantization_mode', [null, 'offline', 'online'])

  const heads = field('num_attention_heads')
  const config = parse({
    layers: field('num_hidden_layers'),
    hidden: field('hidden_size'),
    heads,
    kvHeads: field('num_key_value_heads', heads),
    ffn: field('intermediate_size'),
    context: field('max_position_embeddings'),
    vocab: field('vocab_size'),
    eps: field('rms_norm_eps'),
    ropeTheta: rope['rope_theta'] ?? field('rope_theta'),
    activation,
    subNorms: tensorNames('blocks.0.attn_sub_norm.weight').some(has),
    tied
  })
  only('head_dim', json['head_dim'], [null, config.hidden / config.heads])
  return config
}

function write(c: BitnetConfig): Fields {
  const { activation, subNorms } = c
  if (activation === 'silu' && subNorms)
    fail('activation', 'is silu with sub-norms, which transformers has no class for')
  return {
    architectures: [subNorms ? 'BitNetForCausalLM' : 'LlamaForCausalLM'],
    model_type: subNorms ? 'bitnet' : 'llama',
    num_hidden_layers: c.layers,
    hidden_size: c.hidden,
    num_attention_heads: c.heads,
    num_key_value_heads: c.kvHeads,
    intermediate_size: c.ffn,
    max_position_embeddings: c.context,
    vocab_size: c.vocab,
    rms_norm_eps: hfFloat(c.eps),
    rope_theta: hfFloat(c.ropeTheta),
    hidden_act: activation,
    tie_word_embeddings: c.tied,
    quantization_config: { quant_method: 'bitnet', linear_class: 'autobitlinear', quantization_mode: 'offline' }
  }
}

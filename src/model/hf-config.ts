/**
 * The `config.json` of a BitNet model as Hugging Face's transformers writes it (`BitNetConfig`, `LlamaConfig` with `quantization_config`) -> our configuration, and how its ternary
 * weights are stored. What would make another model of the same tensors is refused.
 */
import { VeritError } from '../lib/errors.ts'
import { hfModelTypes } from '../arch/registry.ts'
import { parseModelConfig } from './config.ts'
import type { BitnetConfig } from './config.ts'

export interface HfModel {
  readonly config: BitnetConfig
  /** What `weight_scale` means beside packed weights: `bitlinear` divides by it, `autobitlinear` multiplies. */
  readonly scale: 'divides' | 'multiplies'
  /** Whether weights in floating point are latent ones, ternarised at each step, or ternary already. */
  readonly latent: boolean
}

type Json = Readonly<Record<string, unknown>>

/**
 * @param file what errors name
 * @param has what the tensors show
 * @throws VeritError VERIT_MODEL_FILE naming the field
 */
export function readHfConfig(file: string, json: unknown, has: { readonly head: boolean; readonly subNorms: boolean }): HfModel {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_MODEL_FILE', { file, problem })
  }
  const object = (value: unknown, name: string): Json =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Json : refuse(`${name} is not an object`)
  const source = object(json, 'its content'), type = source['model_type']
  if (type !== 'bitnet' && type !== 'llama') refuse(`model_type is ${JSON.stringify(type)}, where ${['bitnet', ...hfModelTypes].join(', ')} are supported`)
  const field = (name: string, fallback?: unknown): unknown => source[name] ?? fallback ?? refuse(`${name} is missing`)
  const only = (name: string, value: unknown, allowed: readonly unknown[]): void => {
    if (!allowed.includes(value ?? null)) refuse(`${name} is ${JSON.stringify(value)}, which is not supported`)
  }

  const act = field('hidden_act', type === 'bitnet' ? 'relu2' : 'silu')
  only('hidden_act', act, ['relu2', 'silu'])
  for (const name of ['attention_bias', 'mlp_bias', 'sliding_window', 'rope_scaling']) only(name, source[name], [null, false])
  const rope = object(source['rope_parameters'] ?? {}, 'rope_parameters')
  only('rope_parameters.rope_type', rope['rope_type'], [null, 'default'])
  const tied = source['tie_word_embeddings'] ?? !has.head
  if (tied === has.head) refuse(`tie_word_embeddings is ${JSON.stringify(tied)}, and there is ${has.head ? 'a' : 'no'} tensor lm_head.weight`)

  const quantization = object(source['quantization_config'] ?? { quant_method: 'bitnet', quantization_mode: 'online' }, 'quantization_config')
  only('quantization_config.quant_method', quantization['quant_method'], ['bitnet'])
  only('quantization_config.use_rms_norm', quantization['use_rms_norm'], [null, false])
  only('quantization_config.linear_class', quantization['linear_class'], [null, 'bitlinear', 'autobitlinear'])
  only('quantization_config.quantization_mode', quantization['quantization_mode'], [null, 'offline', 'online'])
  try {
    const heads = field('num_attention_heads')
    const config = parseModelConfig({
      kind: 'bitnet', layers: field('num_hidden_layers'), hidden: field('hidden_size'), heads, kvHeads: field('num_key_value_heads', heads), ffn: field('intermediate_size'),
      context: field('max_position_embeddings'), vocab: field('vocab_size'), eps: field('rms_norm_eps'), ropeTheta: rope['rope_theta'] ?? field('rope_theta'),
      activation: act, subNorms: has.subNorms, tied,
    }) as BitnetConfig
    only('head_dim', source['head_dim'], [null, config.hidden / config.heads])
    return { config, scale: quantization['linear_class'] === 'autobitlinear' ? 'multiplies' : 'divides', latent: quantization['quantization_mode'] === 'online' }
  } catch (e) {
    if (VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw new VeritError('VERIT_MODEL_FILE', { file, problem: `${e.fields.field} ${e.fields.problem}` }, e)
    throw e
  }
}

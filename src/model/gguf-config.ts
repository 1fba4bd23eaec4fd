/**
 * A model's configuration as GGUF metadata and back. Keys are those other programs read (docs/training.md has the table); what GGUF has no key for
 * stands under `verit.`.
 */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { headWidth, keyHeads, parseModelConfig } from './config.ts'
import type { ModelConfig } from './config.ts'

/** `general.architecture` of each kind. */
export const architectures = { gpt: 'gpt2', bitnet: 'bitnet-b1.58' } as const

/** The value of `verit.activation`: GPT-2's files elsewhere mean the approximation of GELU by tanh, which is another model. */
const EXACT_GELU = 'gelu-exact'

/** The entries under the architecture's prefix, and those that GGUF lacks. */
export function configEntries(config: ModelConfig): [string, GgufValue][] {
  const prefix = architectures[config.kind]
  const entries: [string, GgufValue][] = [
    [`${prefix}.vocab_size`, gguf.u32(config.vocab)],
    [`${prefix}.context_length`, gguf.u32(config.context)],
    [`${prefix}.embedding_length`, gguf.u32(config.hidden)],
    [`${prefix}.block_count`, gguf.u32(config.layers)],
    [`${prefix}.feed_forward_length`, gguf.u32(config.ffn)],
    [`${prefix}.attention.head_count`, gguf.u32(config.heads)],
  ]
  if (config.kind === 'gpt') {
    return [...entries, [`${prefix}.attention.layer_norm_epsilon`, gguf.f32(config.eps)], ['verit.activation', gguf.string(EXACT_GELU)]]
  }
  return [
    ...entries,
    [`${prefix}.rope.dimension_count`, gguf.u32(headWidth(config))],
    [`${prefix}.attention.head_count_kv`, gguf.u32(keyHeads(config))],
    [`${prefix}.attention.layer_norm_rms_epsilon`, gguf.f32(config.eps)],
    [`${prefix}.rope.freq_base`, gguf.f32(config.theta)],
  ]
}

/**
 * The configuration that a file describes.
 * @param bias whether the file has bias tensors
 * @throws VeritError VERIT_MODEL_FILE for an architecture, activation or option that Verit does not run
 */
export function readConfig(file: string, m: GgufMetadata, vocab: number, bias: boolean): ModelConfig {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_MODEL_FILE', { file, problem })
  }
  const architecture = m.string('general.architecture')
  const key = (name: string): string => `${architecture}.${name}`
  const shared = (): Record<string, unknown> => ({
    layers: m.uint(key('block_count')), hidden: m.uint(key('embedding_length')), heads: m.uint(key('attention.head_count')),
    context: m.uint(key('context_length')), vocab,
  })
  if (m.uint(key('vocab_size'), vocab) !== vocab) refuse(`its metadata says ${m.uint(key('vocab_size'))} tokens, its embedding has ${vocab}`)
  try {
    if (architecture === 'gpt2') {
      const activation = m.string('verit.activation', 'the tanh approximation of GELU')
      if (activation !== EXACT_GELU) refuse(`its activation is ${JSON.stringify(activation)}, where Verit computes the exact GELU`)
      const ffn = m.uint(key('feed_forward_length'))
      return parseModelConfig({ kind: 'gpt', ...shared(), ffn, bias, dropout: 0, eps: m.float(key('attention.layer_norm_epsilon')) })
    }
    if (architecture === 'bitnet-b1.58' || architecture === 'bitnet-25') {
      if (m.string(key('rope.scaling.type'), 'none') !== 'none') refuse('it scales its rotary positions, which is not supported')
      const config = parseModelConfig({
        kind: 'bitnet', ...shared(), kvHeads: m.uint(key('attention.head_count_kv')), ffn: m.uint(key('feed_forward_length')),
        eps: m.float(key('attention.layer_norm_rms_epsilon')), theta: m.float(key('rope.freq_base')),
      })
      const rotated = m.uint(key('rope.dimension_count'), headWidth(config))
      if (rotated !== headWidth(config)) refuse('it rotates a part of each head only, which is not supported')
      return config
    }
  } catch (e) {
    if (VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw new VeritError('VERIT_MODEL_FILE', { file, problem: `${e.fields.field} ${e.fields.problem}` }, e)
    throw e
  }
  return refuse(`its architecture is ${JSON.stringify(architecture)}; Verit runs gpt2 (with exact GELU), bitnet-b1.58 and bitnet-25`)
}

/**
 * A model's configuration as GGUF metadata and back. Keys are those other programs read (docs/training.md has the table); what GGUF has no key for
 * stands under `verit.`.
 */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { headWidth, keyHeads, parseModelConfig } from './config.ts'
import type { BitnetConfig, ModelConfig } from './config.ts'
import { HAS_BIAS } from './zero-biases.ts'

/**
 * `general.architecture`s with ternary projections. `bitnet` is llama.cpp's name of the models of 1bitLLM; `llama` is Llama's block, whose rows of queries and keys stand in
 * such files so that neighbours are rotated together (`interleaved`), not halves.
 */
export const ternaryArchitectures = {
  'bitnet-b1.58': { activation: 'relu2', subNorms: true, interleaved: false },
  'bitnet-25': { activation: 'relu2', subNorms: true, interleaved: false },
  bitnet: { activation: 'silu', subNorms: true, interleaved: false },
  llama: { activation: 'silu', subNorms: false, interleaved: true },
} as const satisfies Record<string, Pick<BitnetConfig, 'activation' | 'subNorms'> & { interleaved: boolean }>

/** What models of each kind are trained as. */
export const architectures = { gpt: 'gpt2', bitnet: 'bitnet-b1.58' } as const

/** The `general.architecture` of a configuration. */
export function architectureOf(config: ModelConfig): string {
  if (config.kind === 'gpt') return architectures.gpt
  return config.activation === 'relu2' ? architectures.bitnet : config.subNorms ? 'bitnet' : 'llama'
}

/** Whether files of an architecture have the rows of queries and keys in the order that rotates neighbours. */
export const isInterleaved = (architecture: string): boolean =>
  Object.hasOwn(ternaryArchitectures, architecture) && ternaryArchitectures[architecture as keyof typeof ternaryArchitectures].interleaved

/** The value of `verit.activation`: GPT-2's files elsewhere mean the approximation of GELU by tanh, which is another model. */
const EXACT_GELU = 'gelu-exact'

/** The entries under the architecture's prefix, and those that GGUF lacks. */
export function configEntries(config: ModelConfig): [string, GgufValue][] {
  const prefix = architectureOf(config)
  const entries: [string, GgufValue][] = [
    [`${prefix}.vocab_size`, gguf.u32(config.vocab)],
    [`${prefix}.context_length`, gguf.u32(config.context)],
    [`${prefix}.embedding_length`, gguf.u32(config.hidden)],
    [`${prefix}.block_count`, gguf.u32(config.layers)],
    [`${prefix}.feed_forward_length`, gguf.u32(config.ffn)],
    [`${prefix}.attention.head_count`, gguf.u32(config.heads)],
  ]
  if (config.kind === 'gpt') {
    const bias: [string, GgufValue][] = config.bias ? [] : [[HAS_BIAS, gguf.bool(false)]]
    return [...entries, [`${prefix}.attention.layer_norm_epsilon`, gguf.f32(config.eps)], ['verit.activation', gguf.string(EXACT_GELU)], ...bias]
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
 * @param has whether the file has bias tensors, and a head besides the embedding
 * @throws VeritError VERIT_MODEL_FILE for an architecture, activation or option that Verit does not run, VERIT_GGUF for metadata that is missing or of another type
 */
export function readConfig(file: string, m: GgufMetadata, vocab: number, has: { readonly bias: boolean; readonly head: boolean }): ModelConfig {
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
      return parseModelConfig({ kind: 'gpt', ...shared(), ffn, bias: has.bias && m.bool(HAS_BIAS, true), dropout: 0, eps: m.float(key('attention.layer_norm_epsilon')) })
    }
    if (Object.hasOwn(ternaryArchitectures, architecture)) {
      const { activation, subNorms } = ternaryArchitectures[architecture as keyof typeof ternaryArchitectures]
      const heads = m.uint(key('attention.head_count'))
      const config = parseModelConfig({
        kind: 'bitnet', ...shared(), kvHeads: m.uint(key('attention.head_count_kv'), heads), ffn: m.uint(key('feed_forward_length')),
        eps: m.float(key('attention.layer_norm_rms_epsilon')), theta: activation === 'silu' ? m.float(key('rope.freq_base'), 10_000) : m.float(key('rope.freq_base')),
        activation, subNorms, tied: !has.head,
      })
      checkPlain(m, key, headWidth(config))
      return config
    }
  } catch (e) {
    if (VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw new VeritError('VERIT_MODEL_FILE', { file, problem: `${e.fields.field} ${e.fields.problem}` }, e)
    throw e
  }
  return refuse(`its architecture is ${JSON.stringify(architecture)}; Verit runs gpt2 (with exact GELU), and with ternary weights ${Object.keys(ternaryArchitectures).join(', ')}`)
}

/**
 * Refuses options of llama.cpp that make another model of the same tensors, where they say anything but what Verit does anyhow.
 * @throws VeritError VERIT_GGUF naming the key
 */
function checkPlain(m: GgufMetadata, key: (name: string) => string, width: number): void {
  const scaling = m.string(key('rope.scaling.type'), 'none')
  if (scaling !== 'none' && scaling !== 'linear') m.refuse(key('rope.scaling.type'), `is ${JSON.stringify(scaling)}: it scales its rotary positions, which is not supported`)
  for (const name of ['rope.scaling.factor', 'rope.scale_linear', 'rope.scaling.attn_factor']) {
    if (m.float(key(name), 1) !== 1) m.refuse(key(name), `is ${m.float(key(name))}: it scales its rotary positions, which is not supported`)
  }
  for (const name of ['rope.dimension_count', 'attention.key_length', 'attention.value_length']) {
    const has = m.uint(key(name), width)
    if (has !== width) m.refuse(key(name), `is ${has}, where each head is ${width} wide${name === 'rope.dimension_count' ? ': it rotates a part of each head only, which is not supported' : ''}`)
  }
  for (const name of ['expert_count', 'expert_used_count', 'attention.sliding_window']) {
    if (m.uint(key(name), 0) !== 0) m.refuse(key(name), `is ${m.uint(key(name))}, which is not supported`)
  }
  for (const name of ['attention.clamp_kqv', 'attention.max_alibi_bias', 'logit_scale', 'residual_scale', 'embedding_scale', 'attention.scale']) {
    if (m.has(key(name)) && m.float(key(name)) !== 0) m.refuse(key(name), `is ${m.float(key(name))}, which is not supported`)
  }
  if (!m.bool(key('attention.causal'), true)) m.refuse(key('attention.causal'), 'is false: it looks at what follows, which is not supported')
}

/**
 * Hyperparameters that no model has, for the metadata of a file of each architecture (small-models.ts). The reader has
 * to refuse each by its key, or by a tensor whose shape then differs.
 */
import { gguf } from '../src/formats/gguf-value.ts'
import type { GgufValue } from '../src/formats/gguf-value.ts'

export interface HostileRow {
  /** Under the architecture's prefix. */
  readonly key: string
  readonly values: readonly GgufValue[]
  /** Kinds of which this is true have the key, or refuse it where they do not use it. Default: all. */
  readonly of?: (kind: string) => boolean
  /** Other keys that the refusal may name, since they contradict this one. */
  readonly partners?: readonly string[]
}

const f64 = (value: number): GgufValue => ({ type: 'f64', value })
/** Values of other types than a number's. */
const others = [gguf.string('1'), gguf.bool(true), gguf.strings(['1']), gguf.f32s([1, NaN])]
const noSize = [
  gguf.u32(0),
  gguf.u32(2 ** 31),
  gguf.u32(10 ** 9),
  gguf.u64(2n ** 62n),
  gguf.i32(-1),
  gguf.f32(2),
  ...others
]
const noFactor = [NaN, Infinity, -Infinity, -1, 1e-30]
  .map(gguf.f32)
  .concat(f64(1e300), f64(5e-324), gguf.u32(1), others)

const learned = ['gpt', 'gpt2']
/** Read by the strict checks of architectures with few options. */
const plain = ['gpt', 'bitnet']
const rotary = (kind: string): boolean => !learned.includes(kind)
const scaled = (kind: string): boolean => !learned.includes(kind) && !plain.includes(kind)
const partial = ['phi3', 'stablelm']

export const hostileRows: readonly HostileRow[] = [
  ...['block_count', 'embedding_length', 'context_length', 'attention.head_count'].map(key => ({
    key,
    values: noSize
  })),
  { key: 'feed_forward_length', values: noSize, of: kind => kind !== 'qwen3moe' },
  { key: 'attention.head_count_kv', values: [gguf.u32(3), gguf.u32(8), ...noSize], of: kind => kind !== 'gpt' },
  {
    key: 'attention.head_count_kv',
    values: [gguf.i32s([2]), gguf.i32s([2, 1]), gguf.i32s([2, -2]), gguf.i32s([]), gguf.i32s([2, 2, 2])],
    of: kind => kind !== 'gpt'
  },
  { key: 'attention.key_length', values: [gguf.u32(4097), ...noSize] },
  {
    key: 'attention.key_length',
    values: [gguf.u32(7)],
    partners: ['rope.dimension_count', 'attention.value_length']
  },
  { key: 'attention.value_length', values: [gguf.u32(7), gguf.u32(1024), ...noSize] },
  { key: 'attention.key_length_swa', values: [gguf.u32(7), ...noSize] },
  { key: 'attention.sliding_window', values: [gguf.u64(2n ** 40n), gguf.i32(-1), gguf.f32(NaN), ...others] },
  { key: 'vocab_size', values: noSize },
  { key: 'rope.freq_base', values: [0, NaN, Infinity, -1, 1e-30, 1e30].map(gguf.f32).concat(others), of: rotary },
  { key: 'rope.dimension_count', values: noSize, of: rotary },
  { key: 'rope.dimension_count', values: [gguf.u32(3), gguf.u32(18)], of: rotary },
  { key: 'rope.dimension_count', values: [gguf.u32(4)], of: kind => rotary(kind) && !partial.includes(kind) },
  { key: 'rope.scaling.type', values: [gguf.string('su'), gguf.string(''), gguf.u32(1)], of: rotary },
  { key: 'rope.scaling.factor', values: noFactor, of: rotary },
  { key: 'rope.scaling.attn_factor', values: [gguf.f32(0), ...noFactor], of: rotary },
  { key: 'rope.scaling.original_context_length', values: noSize.slice(0, -2), of: scaled },
  { key: 'rope.scaling.yarn_beta_fast', values: [gguf.f32(0), ...noFactor], of: scaled },
  { key: 'rope.scaling.yarn_ext_factor', values: [gguf.f32(2), gguf.f32(NaN), gguf.f32(-1)], of: scaled },
  ...['attn_logit_softcapping', 'final_logit_softcapping', 'attention.scale', 'attention.temperature_scale'].map(
    key => ({ key, values: noFactor })
  ),
  ...['logit_scale', 'residual_scale', 'embedding_scale', 'attention.clamp_kqv'].map(key => ({
    key,
    values: noFactor
  })),
  { key: 'attn_logit_softcapping', values: [gguf.f32(0)], of: kind => kind === 'gemma2' },
  { key: 'final_logit_softcapping', values: [gguf.f32(0)], of: kind => kind === 'gemma2' },
  { key: 'attention.sliding_window', values: [gguf.u32(0)], of: kind => kind === 'gemma2' },
  { key: 'expert_count', values: [gguf.u32(1024), ...noSize.slice(1)], partners: ['expert_used_count'] },
  { key: 'expert_count', values: [gguf.u32(0)], of: kind => kind === 'qwen3moe' },
  { key: 'expert_count', values: [gguf.u32(1)], of: kind => kind === 'qwen3moe', partners: ['expert_used_count'] },
  { key: 'expert_used_count', values: [gguf.u32(5), gguf.u32(10 ** 6), ...noSize.slice(1)] },
  { key: 'expert_used_count', values: [gguf.u32(0)], of: kind => kind === 'qwen3moe' },
  { key: 'expert_feed_forward_length', values: noSize, of: kind => kind === 'qwen3moe' },
  { key: 'expert_gating_func', values: [gguf.u32(77), gguf.u32(2), ...others], of: kind => kind === 'qwen3moe' },
  { key: 'expert_weights_scale', values: [gguf.f32(0.5), ...noFactor], of: kind => kind === 'qwen3moe' },
  { key: 'shortconv.l_cache', values: [gguf.u32(65), ...noSize.slice(1)] },
  { key: 'shortconv.l_cache', values: [gguf.u32(0)], of: kind => kind === 'lfm2' }
]

/** The key of the epsilon of an architecture's norms, and values that it cannot have. */
export const hostileEpsilon = (kind: string): HostileRow => ({
  key: ['gpt', 'gpt2', 'starcoder2', 'stablelm'].includes(kind)
    ? 'attention.layer_norm_epsilon'
    : 'attention.layer_norm_rms_epsilon',
  values: [gguf.f32(0), gguf.f32(1), ...noFactor]
})

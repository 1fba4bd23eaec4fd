/** Refuses options of llama.cpp that change the model, unless their value is what Verit does anyway. */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { fieldRules } from './decoder-config.ts'

type Key = (name: string) => string

/** Known properties of the model. */
interface Known {
  readonly headDim: number
  readonly ropeDim?: number
  readonly context?: number
  readonly experts?: number
}

/** Keys whose value 0, false or absence means "off". */
const COUNTS = [
  'expert_count',
  'expert_used_count',
  'expert_shared_count',
  'expert_shared_feed_forward_length',
  'expert_group_count',
  'expert_group_used_count',
  'leading_dense_block_count',
  'interleave_moe_layer_step',
  'nextn_predict_layers',
  'attention.sliding_window',
  'attention.shared_kv_layers',
  'embedding_length_per_layer_input',
  'full_attention_interval',
  'shortconv.l_cache',
  'ssm.conv_kernel',
  'ssm.state_size',
  'ssm.inner_size',
  'attention.kv_lora_rank',
  'attention.q_lora_rank',
  'token_shift_count',
  'n_deepstack_layers',
  'attention.indexer.head_count'
]
const FACTORS = [
  'attention.clamp_kqv',
  'attention.max_alibi_bias',
  'attention.scale',
  'attention.temperature_scale',
  'attention.output_scale',
  'attn_logit_softcapping',
  'final_logit_softcapping',
  'router_logit_softcapping',
  'logit_scale',
  'residual_scale',
  'embedding_scale',
  'rope.scaling.yarn_log_multiplier'
]
const SCALES = ['logit_scale', 'residual_scale', 'embedding_scale']
const FLAGS = ['use_parallel_residual', 'swin_norm', 'expert_weights_norm', 'attention.sliding_window_pattern']

/**
 * Refuses every key that would change the model and that its architecture does not use.
 * @param used names that the architecture reads
 * @throws VeritError VERIT_GGUF naming the key
 */
export function refuseOthers(m: GgufMetadata, key: Key, used: ReadonlySet<string>, config: Known): void {
  const refuse = (name: string, says: string): never => m.refuse(key(name), `is ${says}, which is not supported`)
  const unused = (names: readonly string[]): string[] => names.filter(name => !used.has(name) && m.has(key(name)))
  for (const name of unused(COUNTS)) {
    const count = m.uint(key(name))
    // A window over the whole context hides nothing.
    const harmless = name === 'attention.sliding_window' && count >= (config.context ?? Infinity)
    if (count !== 0 && !(harmless && count <= fieldRules.window.high)) refuse(name, String(count))
  }
  for (const name of unused(FACTORS)) {
    const factor = m.float(key(name))
    if (factor !== 0 && !(SCALES.includes(name) && factor === 1)) refuse(name, String(factor))
  }
  for (const name of unused(FLAGS)) {
    const value = m.entries.get(key(name))!
    if (name === 'expert_weights_norm' && config.experts !== undefined) continue
    if (value.type === 'bool' && value.value) refuse(name, 'true')
  }
  checkRest(m, key, config)
}

function checkRest(m: GgufMetadata, key: Key, { headDim, ropeDim = headDim, experts }: Known): void {
  for (const name of ['attention.value_length', 'attention.key_length_swa', 'attention.value_length_swa']) {
    const width = m.uint(key(name), headDim)
    if (width !== headDim) m.refuse(key(name), `is ${width}, where each head is ${headDim} wide`)
  }
  const turned = m.uint(key('rope.dimension_count_swa'), ropeDim)
  if (turned !== ropeDim)
    m.refuse(key('rope.dimension_count_swa'), `is ${turned}, where ${ropeDim} elements of each head are rotated`)
  if (!m.bool(key('attention.causal'), true))
    m.refuse(key('attention.causal'), 'is false: it looks at what follows, which is not supported')
  if (!m.bool(key('rope.scaling.finetuned'), true))
    m.refuse(key('rope.scaling.finetuned'), 'is false, which is not supported')
  if (experts === undefined) return
  if (!m.bool(key('expert_weights_norm'), true))
    m.refuse(key('expert_weights_norm'), 'is false, which is not supported')
  const gating = m.uint(key('expert_gating_func'), 1)
  if (gating > 1) m.refuse(key('expert_gating_func'), `is ${gating}, where softmax (1) is supported`)
  const scale = m.float(key('expert_weights_scale'), 1)
  if (scale !== 1 && scale !== 0) m.refuse(key('expert_weights_scale'), `is ${scale}, which is not supported`)
}

/**
 * The same for an architecture without scaled positions whose heads are rotated as a whole.
 * @throws VeritError VERIT_GGUF naming the key
 */
export function checkPlain(m: GgufMetadata, key: Key, { headDim }: { readonly headDim: number }): void {
  const refuse = (name: string, problem: string): never => m.refuse(key(name), problem)
  const scaling = m.string(key('rope.scaling.type'), 'none')
  if (scaling !== 'none' && scaling !== 'linear')
    refuse('rope.scaling.type', `is ${JSON.stringify(scaling)}: it scales its rotary positions, which is not supported`)
  for (const name of ['rope.scaling.factor', 'rope.scale_linear', 'rope.scaling.attn_factor']) {
    if (m.float(key(name), 1) !== 1)
      refuse(name, `is ${m.float(key(name))}: it scales its rotary positions, which is not supported`)
  }
  for (const name of ['rope.dimension_count', 'attention.key_length', 'attention.value_length']) {
    const has = m.uint(key(name), headDim)
    const part = name === 'rope.dimension_count' ? ': it rotates a part of each head only, which is not supported' : ''
    if (has !== headDim) refuse(name, `is ${has}, where each head is ${headDim} wide${part}`)
  }
  refuseOthers(m, key, new Set(), { headDim })
}

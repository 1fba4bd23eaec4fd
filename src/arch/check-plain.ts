/** Refuses options of llama.cpp that make another model of the same tensors, where they say anything but what Verit does anyhow. */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'

/**
 * Of an architecture without scaled positions.
 * @throws VeritError VERIT_GGUF naming the key
 */
export function checkPlain(m: GgufMetadata, key: (name: string) => string, { headDim }: { readonly headDim: number }): void {
  const refuse = (name: string, problem: string): never => m.refuse(key(name), problem)
  const scaling = m.string(key('rope.scaling.type'), 'none')
  if (scaling !== 'none' && scaling !== 'linear') refuse('rope.scaling.type', `is ${JSON.stringify(scaling)}: it scales its rotary positions, which is not supported`)
  for (const name of ['rope.scaling.factor', 'rope.scale_linear', 'rope.scaling.attn_factor']) {
    if (m.float(key(name), 1) !== 1) refuse(name, `is ${m.float(key(name))}: it scales its rotary positions, which is not supported`)
  }
  for (const name of ['rope.dimension_count', 'attention.key_length', 'attention.value_length']) {
    const has = m.uint(key(name), headDim)
    const part = name === 'rope.dimension_count' ? ': it rotates a part of each head only, which is not supported' : ''
    if (has !== headDim) refuse(name, `is ${has}, where each head is ${headDim} wide${part}`)
  }
  for (const name of ['expert_count', 'expert_used_count', 'attention.sliding_window']) {
    if (m.uint(key(name), 0) !== 0) refuse(name, `is ${m.uint(key(name))}, which is not supported`)
  }
  for (const name of ['attention.clamp_kqv', 'attention.max_alibi_bias', 'logit_scale', 'residual_scale', 'embedding_scale', 'attention.scale']) {
    if (m.has(key(name)) && m.float(key(name)) !== 0) refuse(name, `is ${m.float(key(name))}, which is not supported`)
  }
  if (!m.bool(key('attention.causal'), true)) refuse('attention.causal', 'is false: it looks at what follows, which is not supported')
}

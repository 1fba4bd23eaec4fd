/**
 * StableLM 2, and 3B: LayerNorm, rotary positions of a part of each head, a gated feed-forward layer. Parallel
 * branches are not supported.
 */
import { decoder } from './decoder.ts'

export const stablelm = decoder({
  kind: 'stablelm',
  norm: 'layer',
  norms: 'before',
  positions: 'halves',
  partialRotary: true,
  mlp: 'gated',
  activation: 'silu',
  optionalBiases: ['attn_q', 'attn_k', 'attn_v']
})

/**
 * Phi 3, 3.5 and 4: Llama's block with queries, keys and values in one matrix, and gate and values of the feed-
 * forward layer in another. Some rotate a part of each head; some have two sets of divisors of the frequencies, for
 * runs within and beyond the original context (LongRoPE).
 */
import { decoder } from './decoder.ts'

export const phi3 = decoder({
  kind: 'phi3',
  norm: 'rms',
  norms: 'before',
  positions: 'halves',
  partialRotary: true,
  fusedQkv: true,
  mlp: 'fused',
  activation: 'silu',
  uses: ['window', 'ropeDivisorsLong', 'ropeDivisorsShort'],
  hf: {
    modelTypes: ['phi3'],
    activation: 'silu',
    fields: { window: 'sliding_window' },
    names: { ffn_up: 'mlp.gate_up_proj' }
  }
})

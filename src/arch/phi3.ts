/**
 * Phi 3, 3.5 and 4: Llama's block with queries, keys and values in one matrix, and gate and up projection in another.
 * Some rotate only a part of each head. Some have two sets of frequency divisors, for contexts within and beyond the
 * original length (LongRoPE).
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
    className: 'Phi3ForCausalLM',
    activation: ['silu'],
    fields: { window: 'sliding_window' },
    names: { ffn_up: 'mlp.gate_up_proj' },
    write: ({ window = 0, ropeOriginalContext, context }) => ({
      sliding_window: window === 0 ? null : window,
      original_max_position_embeddings: ropeOriginalContext ?? context
    })
  }
})

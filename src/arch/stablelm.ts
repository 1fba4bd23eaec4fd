/**
 * StableLM 2, and 3B: LayerNorm, rotary positions of a part of each head, a gated feed-forward layer. Parallel
 * branches are not supported.
 */
import { allHaveBiases } from './bias-options.ts'
import { decoder } from './decoder.ts'

export const stablelm = decoder({
  kind: 'stablelm',
  norm: 'layer',
  norms: 'before',
  positions: 'halves',
  partialRotary: true,
  mlp: 'gated',
  activation: 'silu',
  optionalBiases: ['attn_q', 'attn_k', 'attn_v'],
  hf: {
    modelTypes: ['stablelm'],
    className: 'StableLmForCausalLM',
    activation: ['silu'],
    fields: { eps: 'layer_norm_eps', headDim: null },
    only: { use_parallel_residual: [null, false], qk_layernorm: [null, false] },
    write: c => ({ use_qkv_bias: allHaveBiases(c, ['attn_q', 'attn_k', 'attn_v']) })
  }
})

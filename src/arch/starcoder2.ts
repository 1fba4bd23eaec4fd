/** StarCoder 2: LayerNorm, biases, rotary positions, a feed-forward layer with the tanh form of GELU. */
import { decoder } from './decoder.ts'

export const starcoder2 = decoder({
  kind: 'starcoder2',
  norm: 'layer',
  norms: 'before',
  positions: 'halves',
  mlp: 'plain',
  activation: 'geluTanh',
  optionalBiases: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down']
})

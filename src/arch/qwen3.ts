/**
 * Qwen 3: Llama's block with a norm of each head of queries and keys. Heads may be wider than the residual stream
 * divided by their number.
 */
import { decoder } from './decoder.ts'

export const qwen3 = decoder({
  kind: 'qwen3',
  norm: 'rms',
  norms: 'before',
  qkNorm: 'head',
  positions: 'halves',
  mlp: 'gated',
  activation: 'silu',
  hf: {
    modelTypes: ['qwen3'],
    className: 'Qwen3ForCausalLM',
    activation: ['silu'],
    only: { use_sliding_window: [null, false], attention_bias: [null, false] }
  }
})

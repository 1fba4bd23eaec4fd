/** Qwen 2 and 2.5, and DeepSeek's distilled Qwens: Llama's block with biases of queries, keys and values. */
import { decoder } from './decoder.ts'

export const qwen2 = decoder({
  kind: 'qwen2',
  norm: 'rms',
  norms: 'before',
  positions: 'halves',
  mlp: 'gated',
  activation: 'silu',
  biases: ['attn_q', 'attn_k', 'attn_v'],
  hf: {
    modelTypes: ['qwen2'],
    className: 'Qwen2ForCausalLM',
    activation: ['silu'],
    only: { use_sliding_window: [null, false] }
  }
})

/** OLMo 2: norms after each branch instead of before it, and of queries and keys as wholes. */
import { decoder } from './decoder.ts'

export const olmo2 = decoder({
  kind: 'olmo2',
  norm: 'rms',
  norms: 'after',
  qkNorm: 'projection',
  positions: 'halves',
  mlp: 'gated',
  activation: 'silu',
  hf: {
    modelTypes: ['olmo2'],
    className: 'Olmo2ForCausalLM',
    activation: ['silu'],
    names: { post_attention_norm: 'post_attention_layernorm', post_ffw_norm: 'post_feedforward_layernorm' },
    only: { clip_qkv: [null], attention_bias: [null, false] }
  }
})

/**
 * GPT-2 as OpenAI published it: learned positions, fused QKV with biases, tanh GELU. Files marked with the exact GELU
 * are of the kind `gpt`.
 */
import { decoder } from './decoder.ts'
import { gpt2Hf } from './gpt2-hf.ts'

export const gpt2 = decoder({
  kind: 'gpt2',
  norm: 'layer',
  norms: 'before',
  positions: 'learned',
  fusedQkv: true,
  mlp: 'plain',
  activation: 'geluTanh',
  biases: ['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'],
  hf: gpt2Hf(['gelu_new', 'gelu_pytorch_tanh', 'gelu_fast'])
})

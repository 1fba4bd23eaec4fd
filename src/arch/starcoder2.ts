/** StarCoder 2: LayerNorm, biases, rotary positions, a feed-forward layer with the tanh form of GELU. */
import { allHaveBiases } from './bias-options.ts'
import { decoder } from './decoder.ts'
import { fail } from './fields.ts'

export const starcoder2 = decoder({
  kind: 'starcoder2',
  norm: 'layer',
  norms: 'before',
  positions: 'halves',
  mlp: 'plain',
  activation: 'geluTanh',
  optionalBiases: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down'],
  hf: {
    modelTypes: ['starcoder2'],
    className: 'Starcoder2ForCausalLM',
    activation: ['gelu_pytorch_tanh'],
    fields: { eps: 'norm_epsilon', headDim: null },
    names: { ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' },
    derive: ({ sliding_window: window, max_position_embeddings: context }) =>
      typeof window === 'number' && window < Number(context)
        ? fail('sliding_window', `is ${window}, which is not supported`)
        : {},
    write: c => ({
      use_bias: allHaveBiases(c, ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down']),
      sliding_window: null
    })
  }
})

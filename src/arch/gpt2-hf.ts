/** GPT-2 in Hugging Face's transformers: matrices of linear layers are stored [in, out]. */
import type { HfDescription } from './description.ts'

/** @param activation values of `activation_function` */
export const gpt2Hf = (activation: readonly string[]): HfDescription => ({
  modelTypes: ['gpt2'],
  className: 'GPT2LMHeadModel',
  activation,
  activationKey: 'activation_function',
  fields: {
    layers: 'n_layer',
    hidden: 'n_embd',
    heads: 'n_head',
    kvHeads: null,
    headDim: null,
    ffn: 'n_inner',
    context: 'n_positions',
    eps: 'layer_norm_epsilon'
  },
  outer: {
    token_embedding: 'transformer.wte.weight',
    position_embedding: 'transformer.wpe.weight',
    'final_norm.weight': 'transformer.ln_f.weight',
    'final_norm.bias': 'transformer.ln_f.bias'
  },
  blocks: 'transformer.h',
  optionalPrefix: 'transformer.',
  names: {
    attn_norm: 'ln_1',
    attn_qkv: 'attn.c_attn',
    attn_output: 'attn.c_proj',
    ffn_norm: 'ln_2',
    ffn_up: 'mlp.c_fc',
    ffn_down: 'mlp.c_proj'
  },
  transposed: ['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'],
  ignored: /^(?:transformer\.)?h\.\d+\.attn\.(?:bias|masked_bias)$/,
  only: {
    scale_attn_weights: [null, true],
    scale_attn_by_inverse_layer_idx: [null, false],
    add_cross_attention: [null, false]
  },
  derive: ({ n_inner: inner, n_embd: width }) => (inner == null ? { ffn: 4 * Number(width) } : {})
})

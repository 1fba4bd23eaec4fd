/**
 * Gemma 2: norms before and after each branch, a feed-forward layer gated by the tanh form of GELU, scores and
 * logits capped by tanh, the embedding scaled by the root of its width, and every other layer, from the first on,
 * with a window. Files store the gains of the norms with 1 added.
 */
import { decoder } from './decoder.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'

export const gemma2 = decoder({
  kind: 'gemma2',
  norm: 'rms',
  norms: 'both',
  positions: 'halves',
  mlp: 'gated',
  activation: 'geluTanh',
  uses: ['window', 'attentionSoftcap', 'finalSoftcap', 'embeddingScale', 'attentionScale'],
  windowed: (_, layer) => layer % 2 === 0,
  // The 27B model (46 layers) has another scale.
  defaults: ({ hidden, heads, layers }) => ({
    attentionSoftcap: 50,
    finalSoftcap: 30,
    window: 4096,
    embeddingScale: Math.fround(Math.sqrt(hidden)),
    ...(layers === 46 ? { attentionScale: Math.fround(1 / Math.sqrt(hidden / heads)) } : {})
  }),
  hf: {
    modelTypes: ['gemma2'],
    activation: 'gelu_pytorch_tanh',
    fields: {
      window: 'sliding_window',
      finalSoftcap: 'final_logit_softcapping',
      attentionSoftcap: 'attn_logit_softcapping'
    },
    names: {
      post_attention_norm: 'post_attention_layernorm',
      ffn_norm: 'pre_feedforward_layernorm',
      post_ffw_norm: 'post_feedforward_layernorm'
    },
    only: { attention_bias: [null, false] },
    gainsLackOne: true,
    derive: queryScale
  }
})

/** The scale of attention scores, if it is not 1/sqrt(headDim). */
export function queryScale(json: Fields): Fields {
  const scalar = json['query_pre_attn_scalar'] ?? json['head_dim']
  if (scalar === json['head_dim']) return {}
  if (typeof scalar !== 'number' || !(scalar > 0)) return fail('query_pre_attn_scalar', 'must be a positive number')
  return { attentionScale: Math.fround(1 / Math.sqrt(scalar)) }
}

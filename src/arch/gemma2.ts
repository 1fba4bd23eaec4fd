/**
 * Gemma 2: norms before and after each branch, a feed-forward layer gated by the tanh form of GELU, scores and
 * logits capped by tanh, the embedding scaled by the root of its width, and every other layer, from the first on,
 * with a window. Files store the gains of the norms with 1 added.
 */
import { decoder } from './decoder.ts'
import type { DecoderConfig } from './decoder-config.ts'
import { hfFloat } from './hf-float.ts'
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
    className: 'Gemma2ForCausalLM',
    activation: ['gelu_pytorch_tanh'],
    activationKey: 'hidden_activation',
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
    derive: queryScale,
    write: c => scaleOptions(c),
    written: ['attentionScale', 'embeddingScale']
  }
})

/**
 * The option for the scale of attention scores. The scale of the embedding has none: it is the root of the width.
 * @throws VeritError VERIT_MODEL_CONFIG
 */
export function scaleOptions({ attentionScale, embeddingScale, hidden, headDim }: DecoderConfig): Fields {
  if (Math.abs((embeddingScale ?? 1) - Math.sqrt(hidden)) > 1e-4 * Math.sqrt(hidden))
    return fail('embeddingScale', 'is not the root of the width, which transformers has no option for')
  const scalar = attentionScale === undefined ? headDim : 1 / attentionScale ** 2
  const rounded = Number(scalar.toPrecision(6))
  return { query_pre_attn_scalar: Number.isInteger(rounded) ? rounded : hfFloat(rounded) }
}

/** The scale of attention scores, if it is not 1/sqrt(headDim). */
export function queryScale(json: Fields): Fields {
  const scalar = json['query_pre_attn_scalar'] ?? json['head_dim']
  if (scalar === json['head_dim']) return {}
  if (typeof scalar !== 'number' || !(scalar > 0)) return fail('query_pre_attn_scalar', 'must be a positive number')
  return { attentionScale: Math.fround(1 / Math.sqrt(scalar)) }
}

/**
 * LFM2: some layers have attention with per-head norms of queries and keys, the others a short causal convolution
 * between two gates. The array of kvHeads tells them apart: 0 is a convolution.
 */
import { decoder } from './decoder.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'

export const lfm2 = decoder({
  kind: 'lfm2',
  norm: 'rms',
  norms: 'before',
  qkNorm: 'head',
  positions: 'halves',
  mlp: 'gated',
  activation: 'silu',
  uses: ['convWidth', 'attentionLayers'],
  names: { 'final_norm.weight': 'token_embd_norm.weight' },
  hf: {
    modelTypes: ['lfm2'],
    className: 'Lfm2ForCausalLM',
    activation: ['silu'],
    fields: { eps: 'norm_eps', convWidth: 'conv_L_cache', headDim: null },
    outer: { 'final_norm.weight': 'model.embedding_norm.weight' },
    names: {
      attn_norm: 'operator_norm',
      attn_output: 'self_attn.out_proj',
      attn_q_norm: 'self_attn.q_layernorm',
      attn_k_norm: 'self_attn.k_layernorm',
      'shortconv.in_proj': 'conv.in_proj',
      'shortconv.conv': 'conv.conv',
      'shortconv.out_proj': 'conv.out_proj',
      ffn_norm: 'ffn_norm',
      ffn_gate: 'feed_forward.w1',
      ffn_up: 'feed_forward.w3',
      ffn_down: 'feed_forward.w2'
    },
    convolutions: ['shortconv.conv'],
    only: { conv_bias: [null, false] },
    derive: lfm2Fields,
    write: ({ layers, attentionLayers }) => ({
      layer_types: Array.from({ length: layers }, (_, l) =>
        attentionLayers === undefined || attentionLayers.includes(l) ? 'full_attention' : 'conv'
      ),
      conv_bias: false,
      block_auto_adjust_ff_dim: false
    }),
    written: ['attentionLayers']
  }
})

/** Layers with attention, and the width of the feed-forward layer, which may be adjusted. */
function lfm2Fields(json: Fields): Fields {
  const kinds = json['layer_types']
  const attentionLayers = Array.isArray(kinds)
    ? kinds.flatMap((kind, l) => (kind === 'full_attention' ? [l] : []))
    : json['full_attn_idxs']
  if (!Array.isArray(attentionLayers)) return fail('layer_types', 'is missing')
  const { block_ffn_dim_multiplier: multiplier = 1, block_multiple_of: multiple = 256 } = json
  const given = Number(json['block_ff_dim'] ?? json['intermediate_size'])
  if ((json['block_auto_adjust_ff_dim'] ?? true) !== true) return { attentionLayers, ffn: given }
  const adjusted = Math.floor(Math.floor((2 * given) / 3) * Number(multiplier ?? 1))
  return { attentionLayers, ffn: Number(multiple) * Math.ceil(adjusted / Number(multiple)) }
}

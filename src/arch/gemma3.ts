/**
 * Gemma 3: Gemma 2 with per-head norms of queries and keys instead of capped scores. Five of six layers have a window
 * and their own rotary base; only layers without a window have scaled positions. Files store the gains of the norms
 * plus 1.
 */
import { decoder } from './decoder.ts'
import { hfFloat } from './hf-float.ts'
import { writeHfRope } from './decoder-hf-rope.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'
import { queryScale, scaleOptions } from './gemma2.ts'
import type { DecoderConfig } from './decoder-config.ts'

export const gemma3 = decoder({
  kind: 'gemma3',
  norm: 'rms',
  norms: 'both',
  qkNorm: 'head',
  positions: 'halves',
  mlp: 'gated',
  activation: 'geluTanh',
  uses: ['window', 'windowPeriod', 'ropeThetaLocal', 'finalSoftcap', 'embeddingScale', 'attentionScale'],
  windowed: ({ windowPeriod = 6 }, layer) => layer % windowPeriod < windowPeriod - 1,
  // The 27B model (62 layers) has another scale.
  defaults: ({ hidden, heads, layers }) => ({
    ropeThetaLocal: 10_000,
    windowPeriod: 6,
    embeddingScale: Math.fround(Math.sqrt(hidden)),
    ...(layers === 62 ? { attentionScale: Math.fround(1 / Math.sqrt(hidden / heads)) } : {})
  }),
  hf: {
    modelTypes: ['gemma3_text'],
    className: 'Gemma3ForCausalLM',
    activation: ['gelu_pytorch_tanh'],
    activationKey: 'hidden_activation',
    fields: { window: 'sliding_window', finalSoftcap: 'final_logit_softcapping' },
    names: {
      post_attention_norm: 'post_attention_layernorm',
      ffn_norm: 'pre_feedforward_layernorm',
      post_ffw_norm: 'post_feedforward_layernorm'
    },
    only: {
      attn_logit_softcapping: [null],
      attention_bias: [null, false],
      use_bidirectional_attention: [null, false],
      sliding_window_pattern: [null, 6]
    },
    rope: 'full_attention',
    gainsLackOne: true,
    derive: gemma3Fields,
    write: gemma3Options,
    written: ['attentionScale', 'embeddingScale', 'windowPeriod', 'ropeThetaLocal']
  }
})

function gemma3Fields(json: Fields): Fields {
  const kinds = json['layer_types'] ?? []
  const sound =
    Array.isArray(kinds) && kinds.every((kind, l) => kind === (l % 6 < 5 ? 'sliding_attention' : 'full_attention'))
  if (!sound) fail('layer_types', 'is not five windowed layers before each full one, which is not supported')
  const { sliding_attention: local } = (json['rope_parameters'] ?? {}) as {
    sliding_attention?: { rope_theta?: unknown }
  }
  return { ...queryScale(json), ropeThetaLocal: local?.rope_theta ?? json['rope_local_base_freq'] ?? undefined }
}

/** Windowed layers have a rotary base of their own, and the others alone a scaling. */
function gemma3Options(c: DecoderConfig): Fields {
  const { layers, windowPeriod = 6, ropeThetaLocal = 10_000 } = c
  const { rope_theta: theta, rope_scaling: scaling } = writeHfRope(c)
  const local = hfFloat(ropeThetaLocal)
  return {
    ...scaleOptions(c),
    layer_types: Array.from({ length: layers }, (_, l) =>
      l % windowPeriod < windowPeriod - 1 ? 'sliding_attention' : 'full_attention'
    ),
    rope_local_base_freq: local,
    rope_parameters: {
      full_attention: { rope_type: 'default', ...(scaling as Fields | undefined), rope_theta: theta },
      sliding_attention: { rope_type: 'default', rope_theta: local }
    }
  }
}

/**
 * Gemma 2: norms before and after each branch, a feed-forward layer gated by the tanh form of GELU, scores and
 * logits capped by tanh, the embedding scaled by the root of its width, and every other layer, from the first on,
 * with a window. Files store the gains of the norms with 1 added.
 */
import { decoder } from './decoder.ts'

export const gemma2 = decoder({
  kind: 'gemma2',
  norm: 'rms',
  norms: 'both',
  positions: 'halves',
  mlp: 'gated',
  activation: 'geluTanh',
  uses: ['window', 'attentionSoftcap', 'finalSoftcap', 'embeddingScale', 'attentionScale'],
  windowed: (_, layer) => layer % 2 === 0,
  // The 27B model, of 46 layers, has a scale of its own.
  defaults: ({ hidden, heads, layers }) => ({
    attentionSoftcap: 50,
    finalSoftcap: 30,
    window: 4096,
    embeddingScale: Math.fround(Math.sqrt(hidden)),
    ...(layers === 46 ? { attentionScale: Math.fround(1 / Math.sqrt(hidden / heads)) } : {}),
  }),
})

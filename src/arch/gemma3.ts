/**
 * Gemma 3: Gemma 2 with norms of each head of queries and keys instead of capped scores. Of six layers five have a
 * window, and rotary positions of their own base; scaled positions are of the layers without a window. Files store
 * the gains of the norms with 1 added.
 */
import { decoder } from './decoder.ts'

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
  // The 27B model, of 62 layers, has a scale of its own.
  defaults: ({ hidden, heads, layers }) => ({
    ropeThetaLocal: 10_000,
    windowPeriod: 6,
    embeddingScale: Math.fround(Math.sqrt(hidden)),
    ...(layers === 62 ? { attentionScale: Math.fround(1 / Math.sqrt(hidden / heads)) } : {}),
  }),
})

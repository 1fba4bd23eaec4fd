/**
 * LFM2: some layers have attention with per-head norms of queries and keys, the others a short causal convolution
 * between two gates. The array of kvHeads tells them apart: 0 is a convolution.
 */
import { decoder } from './decoder.ts'

export const lfm2 = decoder({
  kind: 'lfm2',
  norm: 'rms',
  norms: 'before',
  qkNorm: 'head',
  positions: 'halves',
  mlp: 'gated',
  activation: 'silu',
  uses: ['convWidth', 'attentionLayers'],
  names: { 'final_norm.weight': 'token_embd_norm.weight' }
})

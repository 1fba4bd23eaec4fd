/** OLMo 2: norms after each branch instead of before it, and of queries and keys as wholes. */
import { decoder } from './decoder.ts'

export const olmo2 = decoder({
  kind: 'olmo2',
  norm: 'rms',
  norms: 'after',
  qkNorm: 'projection',
  positions: 'halves',
  mlp: 'gated',
  activation: 'silu',
})

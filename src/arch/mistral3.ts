/**
 * Mistral 3 and Ministral 3: Llama's block with YaRN, and queries that grow with the logarithm of the position
 * beyond the original context.
 */
import { decoder } from './decoder.ts'

export const mistral3 = decoder({
  kind: 'mistral3',
  norm: 'rms',
  norms: 'before',
  positions: 'neighbours',
  mlp: 'gated',
  activation: 'silu',
  uses: ['attentionScale', 'ropeDivisors', 'yarnLogMultiplier', 'temperatureScale']
})

/**
 * Qwen 3 with experts: the softmax of a router chooses some for each token, and their weights are normalised to a
 * sum of one.
 */
import { decoder } from './decoder.ts'

export const qwen3moe = decoder({
  kind: 'qwen3moe',
  norm: 'rms',
  norms: 'before',
  qkNorm: 'head',
  positions: 'halves',
  mlp: 'experts',
  activation: 'silu',
  uses: ['experts', 'expertsUsed', 'expertFfn']
})

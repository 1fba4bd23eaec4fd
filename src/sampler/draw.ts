/**
 * Stage 4 of the sampler: the draw. By ascending id, the first candidate at which the running sum of weights passes a
 * share of their total.
 */
import type { Candidates } from './truncation.ts'

/** @param uniform the share, 0 to 1 (excluded). @returns the id of the token */
export function draw({ ids, weight, total }: Candidates, uniform: number): number {
  const target = uniform * total
  let sum = 0
  let last = 0
  for (let i = 0; i < weight.length; i++) {
    if (weight[i] === 0) continue
    sum += weight[i]!
    last = i
    if (sum > target) break
  }
  return ids === undefined ? last : ids[last]!
}

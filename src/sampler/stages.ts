/**
 * The first and the last stage of the sampler. Logit processors change the scores of tokens that occurred before: the
 * repetition penalty (Keskar et al. 2019, CTRL), then frequency and presence penalties (as OpenAI's API defines them).
 * The draw takes, by ascending id, the first candidate at which the running sum of weights passes a share of their
 * total.
 */
import type { SamplingOptions } from './parameters.ts'
import type { Candidates } from './truncation.ts'

export type Penalties = Pick<
  SamplingOptions,
  'repetitionPenalty' | 'repetitionWindow' | 'presencePenalty' | 'frequencyPenalty'
>

/** Whether any processor can change a score. */
export const changesLogits = (p: Penalties): boolean =>
  (p.repetitionPenalty !== 1 && p.repetitionWindow > 0) || p.presencePenalty !== 0 || p.frequencyPenalty !== 0

/** Applies repetition, then frequency and presence together. @param promptTokens where the answer begins in `ids` */
export function processLogits(scores: Float64Array, ids: readonly number[], promptTokens: number, p: Penalties): void {
  if (p.repetitionPenalty !== 1 && p.repetitionWindow > 0) {
    for (const id of new Set(ids.slice(-p.repetitionWindow))) {
      const score = scores[id]!
      scores[id] = score > 0 ? score / p.repetitionPenalty : score * p.repetitionPenalty
    }
  }
  if (p.presencePenalty === 0 && p.frequencyPenalty === 0) return
  const counts = new Map<number, number>()
  for (let i = promptTokens; i < ids.length; i++) counts.set(ids[i]!, (counts.get(ids[i]!) ?? 0) + 1)
  for (const [id, count] of counts) scores[id]! -= p.frequencyPenalty * count + p.presencePenalty
}

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

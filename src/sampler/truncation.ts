/**
 * Stage 3 of the sampler: truncation. Top-k, then top-p, then min-p leave the tokens that the draw is among, each with
 * its weight. Temperature is part of this stage, since it makes weights of scores; temperature 0 leaves one token.
 */
import { keepNucleus } from './nucleus.ts'
import type { Weighed } from './nucleus.ts'
import type { SamplingOptions } from './parameters.ts'
import { bestLogits, largest } from './top-logits.ts'
import { dropBelow, weigh } from './weights.ts'

/** The tokens that one is drawn from. */
export interface Candidates {
  /** Ids, ascending. Absent: all tokens, in order. */
  readonly ids?: Int32Array
  /** One for each candidate; 0 where truncation dropped it. */
  readonly weight: Float64Array
  /** The sum of the weights, by ascending id. */
  readonly total: number
}

type Truncation = Pick<SamplingOptions, 'temperature' | 'topK' | 'topP' | 'minP'>

/** Whether temperature or top-k leaves fewer tokens than the vocabulary has: their scores are then read in place. */
export const keepsFew = ({ temperature, topK }: Truncation, vocab: number): boolean =>
  temperature === 0 || (topK > 0 && topK < vocab)

/** Truncation where `keepsFew`. @throws VeritError VERIT_LOGITS */
export function truncateFew(scores: Float32Array | Float64Array, options: Truncation): Candidates {
  const { temperature, topK } = options
  const ids = bestLogits(scores, temperature === 0 ? 1 : topK)
  if (temperature === 0) return { ids, weight: Float64Array.of(1), total: 1 }
  const max = scores[ids[0]!]!
  ids.sort()
  const score = new Float64Array(ids.length)
  for (let i = 0; i < ids.length; i++) score[i] = scores[ids[i]!]!
  const weight = new Float64Array(ids.length)
  const total = weigh(score, weight, max, temperature)
  return { ids, weight, total: cut({ score, weight, max, temperature, total }, options) }
}

/**
 * Truncation where all tokens have a chance.
 * @param weight room for as many as there are scores.
 * @throws VeritError VERIT_LOGITS
 */
export function truncateAll(score: Float64Array, weight: Float64Array, options: Truncation): Candidates {
  // With a loop of its own, V8 compiles this function with its best compiler, with `weigh` inlined; otherwise that
  // takes twice as long.
  let max = -Infinity
  for (let i = 0; i < score.length; i++) if (score[i]! > max) max = score[i]!
  const total = weigh(score, weight, max, options.temperature)
  if (total !== total) largest(score) // a NaN among the scores, or no finite largest: it throws
  return { weight, total: cut({ score, weight, max, temperature: options.temperature, total }, options) }
}

/** Applies top-p and min-p. @returns the sum of the remaining weights */
function cut(tokens: Weighed, { topP, minP }: Truncation): number {
  if (topP < 1) keepNucleus(tokens, topP)
  return topP < 1 || minP > 0 ? dropBelow(tokens.weight, minP) : tokens.total // the largest weight is 1
}

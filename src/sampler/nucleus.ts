/**
 * Top-p (docs/internals/generation.md): the most probable tokens that together hold a share of the probability. Tokens
 * are not put in order for that: sums of weights in steps of the score tell in which step the nucleus ends, and those
 * of that step alone are sorted. Such sums are rounded otherwise than one in descending order; where that could matter,
 * all are sorted.
 */
import { weightOf } from './weights.ts'

/** Steps by which a weight falls to 1/e. */
const FINENESS = 64
/** Scores more than 64 below the largest share one step. */
const STEPS = 64 * FINENESS
/** Number of tokens sorted at once. */
const FEW = 64

/**
 * A larger score is never in a later step, for each operation keeps the order. It is NaN only where all is one step, or
 * the score is the largest: then it is the first.
 */
const stepOf = (score: number, max: number, scale: number): number => Math.min((max - score) * scale, STEPS - 1) | 0

/** The tokens of a choice. */
export interface Weighed {
  readonly score: Float64Array
  /** As `weigh` gives them. */
  readonly weight: Float64Array
  readonly max: number
  readonly temperature: number
  /** The sum of all weights. */
  readonly total: number
}

/** Sets the weights of tokens outside the nucleus to 0. @param share 0 to 1 */
export function keepNucleus(tokens: Weighed, share: number): void {
  const { score, weight, temperature } = tokens
  const enough = share * tokens.total
  const quick = score.length > FEW ? lastOf(tokens, enough, FINENESS / temperature) : undefined
  const [least, ties] = quick ?? lastOf(tokens, enough, 0)!
  let left = ties
  for (let i = 0; i < score.length; i++) if (!(score[i]! > least) && (score[i]! < least || left-- <= 0)) weight[i] = 0
}

/**
 * The end of the nucleus.
 * @param scale steps per 1 of score; 0: one step, and sums as in the definition
 * @returns the least score in the nucleus, and how many tokens of that score belong to it; undefined if rounding could
 *   decide
 */
function lastOf(tokens: Weighed, enough: number, scale: number): [least: number, ties: number] | undefined {
  const { score, weight, max, temperature, total } = tokens
  const sums = new Float64Array(scale === 0 ? 1 : STEPS)
  for (let i = 0; i < score.length; i++) sums[stepOf(score[i]!, max, scale)]! += weight[i]!
  let step = 0
  let sofar = 0
  while (step < sums.length - 1 && sofar + sums[step]! < enough) sofar += sums[step++]!
  const inside: number[] = []
  for (let i = 0; i < score.length; i++) if (stepOf(score[i]!, max, scale) === step) inside.push(score[i]!)
  const sorted = new Float64Array(inside).sort()
  // A sum of n numbers that are not negative is wrong by less than n / 2^52 of it, in any order; this is four times as
  // much. In the first step the order is that of the definition.
  const slack = step === 0 ? 0 : score.length * 2 ** -50 * total
  let at = sorted.length
  let ties = 0
  let least = Infinity
  do {
    if (at === 0) return scale === 0 ? [-Infinity, score.length] : undefined
    if (step > 0 && Math.abs(sofar - enough) <= slack) return undefined
    const x = sorted[--at]!
    ties = x === least ? ties + 1 : 1
    least = x
    sofar += weightOf(x, max, temperature)
  } while (sofar < enough)
  return sofar - enough < slack ? undefined : [least, ties]
}

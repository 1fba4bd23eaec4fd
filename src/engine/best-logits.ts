/** The largest logits, and what is wrong with logits that a choice cannot be made from. */
import { VeritError } from '../lib/errors.ts'
import { largestLogits } from './largest-logits.ts'

/** The largest element; an error when one is NaN or none is finite: the model's weights are then of no use. */
export function largest(logits: Float32Array | Float64Array): number {
  let max = -Infinity
  for (let i = 0; i < logits.length; i++) {
    const x = logits[i]!
    if (x !== x) throw new VeritError('VERIT_LOGITS', { problem: 'a logit is not a number' })
    if (x > max) max = x
  }
  if (!Number.isFinite(max)) throw new VeritError('VERIT_LOGITS', { problem: `the largest logit is ${max}` })
  return max
}

/** The ids of the `count` (1 at least) largest, as `largestLogits` orders them; errors as `largest`. */
export function bestLogits(logits: Float32Array | Float64Array, count: number): Int32Array {
  const best = largestLogits(logits, count)
  if (best === undefined || !Number.isFinite(logits[best[0]!]!)) largest(logits)
  return best!
}

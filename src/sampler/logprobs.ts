/**
 * Log probabilities of tokens, in nats, under the model's own distribution: before logit processors, temperature and
 * truncation. Where a mask excludes tokens, the distribution is over the allowed ones.
 */
import { logCore } from '../lib/functions.ts'
import { applyMask } from './token-mask.ts'
import type { TokenMask } from './token-mask.ts'
import { bestLogits } from './top-logits.ts'
import { sumOfWeights } from './weights.ts'

export interface Logprobs {
  /** Log probability of the chosen token. */
  readonly logprob: number
  /** The most probable tokens, the best first; equal ones by the lower id. */
  readonly top: readonly { readonly id: number; readonly logprob: number }[]
}

/**
 * log p(id) = (x[id] - max) - log(sum of e^(x - max)), in f64, summed by ascending id.
 * @param logits [vocab], unchanged afterwards
 * @param count tokens in `top`
 * @param mask the tokens that may be chosen; `top` then holds no others. Absent: all
 * @throws VeritError VERIT_LOGITS
 */
export function logprobsOf(logits: Float32Array, id: number, count: number, mask?: TokenMask): Logprobs {
  const allowed = mask === undefined ? logits : logits.slice()
  if (mask !== undefined) applyMask(allowed, mask)
  const best = bestLogits(allowed, Math.max(count, 1))
  const max = allowed[best[0]!]!
  const log = logCore(sumOfWeights(allowed, max))
  const of = (i: number): number => Math.max(allowed[i]! - max - log, -Number.MAX_VALUE)
  const shown = mask === undefined ? best : best.filter(i => allowed[i]! > -Infinity)
  return { logprob: of(id), top: Array.from(shown.subarray(0, count), i => ({ id: i, logprob: of(i) })) }
}

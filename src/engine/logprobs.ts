/** Log probabilities of tokens, in nats, under the model's own distribution: before penalties, temperature and filters. */
import { logCore } from '../lib/functions.ts'
import { bestLogits } from './best-logits.ts'
import { sumOfWeights } from './weights.ts'

export interface Logprobs {
  /** Of the chosen token. */
  readonly logprob: number
  /** The most probable tokens, the best first; equal ones by the lower id. */
  readonly top: readonly { readonly id: number; readonly logprob: number }[]
}

/**
 * log p(id) = (x[id] - max) - log(sum of e^(x - max)), in f64, summed by ascending id.
 * @param count tokens in `top`
 * @throws VeritError VERIT_LOGITS
 */
export function logprobsOf(logits: Float32Array, id: number, count: number): Logprobs {
  const best = bestLogits(logits, Math.max(count, 1)), max = logits[best[0]!]!
  const log = logCore(sumOfWeights(logits, max))
  const of = (i: number): number => Math.max(logits[i]! - max - log, -Number.MAX_VALUE)
  return { logprob: of(id), top: Array.from(best.subarray(0, count), i => ({ id: i, logprob: of(i) })) }
}

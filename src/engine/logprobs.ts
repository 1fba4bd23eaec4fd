/** Log probabilities of tokens, in nats, under the model's own distribution: before penalties, temperature and filters. */
import { logCore } from '../lib/functions.ts'
import { largestIndices } from './descending.ts'
import { expNegative, largest } from './sampler.ts'

export interface Logprobs {
  /** Of the chosen token. */
  readonly logprob: number
  /** The most probable tokens, the best first; equal ones by the lower id. */
  readonly top: readonly { readonly id: number; readonly logprob: number }[]
}

/**
 * log p(id) = (x[id] - max) - log(sum of e^(x - max)), in f64, summed by ascending id.
 * @param count tokens in `top`
 */
export function logprobsOf(logits: Float32Array, id: number, count: number): Logprobs {
  const max = largest(logits)
  let total = 0
  for (let i = 0; i < logits.length; i++) total += expNegative(logits[i]! - max)
  const log = logCore(total)
  const of = (i: number): number => Math.max(logits[i]! - max - log, -Number.MAX_VALUE)
  return { logprob: of(id), top: Array.from(largestIndices(logits, count), i => ({ id: i, logprob: of(i) })) }
}

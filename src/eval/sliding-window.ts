/**
 * Perplexity with overlapping windows, as the documentation of Hugging Face's transformers computes it ("Perplexity of
 * fixed-length models"): each window moves on by `stride` tokens, and only its new tokens count. A token then has more
 * context than in adjacent windows. As there, the mean of a window is weighted by its new tokens less one.
 */
import { expCore } from '../lib/functions.ts'
import type { Evaluation } from './evaluator.ts'
import type { ScoreRequest, Scorer } from './scorer.ts'
import type { TokenSource } from './token-source.ts'

export interface SlidingOptions {
  /** Tokens of a window: the model's context. */
  readonly context: number
  /** New tokens of a window, 1 to `context`. */
  readonly stride: number
  readonly onProgress?: (done: number, total: number) => void
}

/** @param source at least two tokens */
export async function slidingPerplexity(
  scorer: Scorer,
  source: TokenSource,
  { context, stride, onProgress }: SlidingOptions
): Promise<Evaluation> {
  const requests: ScoreRequest[] = []
  const weights: number[] = []
  let end = 0
  for (let begin = 0; end < source.length; begin += stride) {
    const last = Math.min(begin + context, source.length)
    const fresh = last - end
    const tokens = new Int32Array(last - begin)
    source.read(begin, tokens.length, tokens)
    // The first token of all has no context.
    const counted = Math.min(fresh, tokens.length - 1)
    if (counted > 0 && fresh > 1) {
      requests.push({ context: tokens.subarray(0, -counted), continuation: tokens.subarray(-counted) })
      weights.push(fresh - 1)
    }
    end = last
  }
  const scores = await scorer.score(requests, done => onProgress?.(done, requests.length))
  let sum = 0
  let tokens = 0
  for (const [i, { logLikelihood }] of scores.entries()) {
    sum -= (logLikelihood / requests[i]!.continuation.length) * weights[i]!
    tokens += weights[i]!
  }
  const loss = sum / tokens
  return { loss, perplexity: loss <= 700 ? expCore(loss) : Infinity, tokens }
}

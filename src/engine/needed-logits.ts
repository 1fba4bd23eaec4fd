/** How many of a row's largest logits a choice looks at, so that a screened head (src/ops/screen.ts) need not work out the others. */
import { MOST_TOP } from '../ops/screen.ts'
import type { CheckedRequest } from './request.ts'

/**
 * The choice is the same where all other logits are -∞.
 *
 * Greedy choices look at the largest, others at the `topK` largest. A penalty that takes away can push at most as many tokens out of these as it touches: with so many more, every token
 * that can come in is there. One that adds could bring in any token, and log-probabilities are a sum over all of them.
 *
 * @param position of the token that is to be chosen: prompt and answer before it
 * @param unused tokens that are never chosen: they may be among the largest
 * @returns 1 to 1,024, or 0 for all
 */
export function neededLogits(request: CheckedRequest, position: number, unused = 0): number {
  const { temperature, topK, logprobs, repetitionPenalty, repetitionWindow, presencePenalty, frequencyPenalty } = request
  const kept = temperature === 0 ? 1 : topK
  if (kept === 0 || logprobs >= 0 || repetitionPenalty < 1 || presencePenalty < 0 || frequencyPenalty < 0) return 0
  const repeated = repetitionPenalty === 1 ? 0 : Math.min(repetitionWindow, position)
  const answered = presencePenalty === 0 && frequencyPenalty === 0 ? 0 : position - request.prompt.length
  const needed = kept + repeated + answered + unused
  return needed > MOST_TOP ? 0 : needed
}

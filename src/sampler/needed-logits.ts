/**
 * How many of a row's largest logits a choice reads, so that output-head screening (src/ops/screen.ts) need not compute
 * the others.
 */
import { MOST_TOP } from '../ops/screen.ts'
import type { SamplingOptions } from './parameters.ts'

/** The chosen token. */
export interface Choice {
  /** Tokens before it: prompt and answer. */
  readonly position: number
  readonly promptTokens: number
  /**
   * Tokens that cannot be chosen, by the mask or because the tokenizer never uses them. They can be among the largest.
   * Default 0.
   */
  readonly excluded?: number | undefined
  /** Whether log probabilities are wanted. */
  readonly logprobs: boolean
}

/**
 * The choice is the same where all other logits are -∞.
 *
 * A greedy choice reads the largest logit, others read the `topK` largest. A penalty that lowers scores moves at most
 * the tokens it touches out of these, and the mask at most those it excludes; with that many more, every token that can
 * move in is there. A penalty that raises scores could move any token in, and log probabilities are a sum over all
 * tokens.
 * @returns 1 to 1,024, or 0 for all
 */
export function neededLogits(options: SamplingOptions, choice: Choice): number {
  const { position, promptTokens, excluded = 0, logprobs } = choice
  const { temperature, topK, repetitionPenalty, repetitionWindow, presencePenalty, frequencyPenalty } = options
  const kept = temperature === 0 ? 1 : topK
  if (kept === 0 || logprobs || repetitionPenalty < 1 || presencePenalty < 0 || frequencyPenalty < 0) return 0
  const repeated = repetitionPenalty === 1 ? 0 : Math.min(repetitionWindow, position)
  const answered = presencePenalty === 0 && frequencyPenalty === 0 ? 0 : position - promptTokens
  const needed = kept + repeated + answered + excluded
  return needed > MOST_TOP ? 0 : needed
}

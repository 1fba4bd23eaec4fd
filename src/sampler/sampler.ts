/**
 * The sampler chooses the next token from logits, in four stages: logit processors, token mask, truncation, draw. The
 * order of the stages and of every sum is fixed (docs/internals/generation.md). The random number depends on the seed
 * and the token's position alone, so anyone who has the logits can repeat a choice.
 */
import { Philox, purpose } from '../lib/philox.ts'
import { changesLogits, draw, processLogits } from './stages.ts'
import type { SamplingOptions } from './parameters.ts'
import { applyMask } from './token-mask.ts'
import type { TokenMask } from './token-mask.ts'
import { keepsFew, truncateAll, truncateFew } from './truncation.ts'
import type { Candidates } from './truncation.ts'

/** Room for the whole vocabulary, shared by all samplers: nothing in it outlives a choice. */
let scratch = { scores: new Float64Array(0), weights: new Float64Array(0) }

/** Draws the tokens of one sequence. It keeps no state: every choice follows from the arguments. */
export class Sampler {
  #options: SamplingOptions
  #random: Philox

  constructor(options: SamplingOptions) {
    this.#options = options
    this.#random = new Philox(options.seed, purpose.sampling, 0)
  }

  /**
   * @param logits [vocab], unchanged afterwards
   * @param ids the tokens so far; the chosen one gets position `ids.length`
   * @param promptTokens how many of them are the prompt
   * @param mask the tokens that may be chosen; absent: all
   * @throws VeritError VERIT_LOGITS
   */
  choose(logits: Float32Array, ids: readonly number[], promptTokens: number, mask?: TokenMask): number {
    const candidates = this.#candidates(logits, ids, promptTokens, mask)
    return draw(candidates, this.#options.temperature === 0 ? 0 : this.#random.uniform(ids.length))
  }

  /** Stages 1 to 3. */
  #candidates(
    logits: Float32Array,
    ids: readonly number[],
    promptTokens: number,
    mask: TokenMask | undefined
  ): Candidates {
    const options = this.#options
    const few = keepsFew(options, logits.length)
    const changed = changesLogits(options)
    if (few && !changed && mask === undefined) return truncateFew(logits, options)
    if (scratch.scores.length !== logits.length) {
      scratch = { scores: new Float64Array(logits.length), weights: new Float64Array(logits.length) }
    }
    const { scores, weights } = scratch
    scores.set(logits)
    if (changed) processLogits(scores, ids, promptTokens, options)
    if (mask !== undefined) applyMask(scores, mask)
    return few ? truncateFew(scores, options) : truncateAll(scores, weights, options)
  }
}

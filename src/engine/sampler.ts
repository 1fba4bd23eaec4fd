/**
 * Chooses the next token from logits. The order of the steps and of every sum is fixed (docs/generation.md) and the random number depends on the
 * seed and the token's position alone, so a choice can be repeated anywhere and by anyone who has the logits.
 */
import { Philox, purpose } from '../lib/philox.ts'
import { bestLogits, largest } from './best-logits.ts'
import { keepNucleus } from './nucleus.ts'
import { penalize, penalizes } from './penalties.ts'
import type { Penalties } from './penalties.ts'
import { dropBelow, weigh } from './weights.ts'

export interface SamplingOptions extends Penalties {
  /** 0 takes the largest logit (the lowest id of equal ones); otherwise logits are divided by it. */
  readonly temperature: number
  /** Keep this many of the most probable tokens; 0 keeps all. */
  readonly topK: number
  /** Keep the most probable tokens until they hold this share of the probability; 1 keeps all. At least one is kept. */
  readonly topP: number
  /** Keep tokens at least this many times as probable as the most probable; 0 keeps all. */
  readonly minP: number
  /** 0 to 2^53 - 1. */
  readonly seed: number
}

/** Room for the whole vocabulary, of all samplers: between two choices nothing in it is needed. */
let scratch = [new Float64Array(0), new Float64Array(0)] as const

/** Draws the tokens of one sequence. Remembers nothing: every choice follows from the arguments. */
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
   * @throws VeritError VERIT_LOGITS
   */
  choose(logits: Float32Array, ids: readonly number[], promptTokens: number): number {
    const { temperature, topK } = this.#options, few = temperature === 0 || (topK > 0 && topK < logits.length), changed = penalizes(this.#options)
    if (few && !changed) return this.#chooseFew(logits, ids.length)
    if (scratch[0].length !== logits.length) scratch = [new Float64Array(logits.length), new Float64Array(logits.length)]
    const [scores, weights] = scratch
    scores.set(logits)
    if (changed) penalize(scores, ids, promptTokens, this.#options)
    return few ? this.#chooseFew(scores, ids.length) : this.#draw(scores, weights, largest(scores), ids.length)
  }

  /** Among the `topK` largest; at temperature 0 the largest. */
  #chooseFew(scores: Float32Array | Float64Array, position: number): number {
    const { temperature, topK } = this.#options
    const kept = bestLogits(scores, temperature === 0 ? 1 : topK), best = kept[0]!
    return temperature === 0 ? best : this.#draw(pick(scores, kept.sort()), new Float64Array(topK), scores[best]!, position, kept)
  }

  /**
   * @param score of the candidates, by ascending id
   * @param weight room for as many
   * @param max the largest score
   * @param position of the token to be chosen
   * @param kept the candidates; default: all tokens
   */
  #draw(score: Float64Array, weight: Float64Array, max: number, position: number, kept?: Int32Array): number {
    const { temperature, topP, minP } = this.#options
    let total = weigh(score, weight, max, temperature)
    if (topP < 1) keepNucleus({ score, weight, max, temperature, total }, topP)
    if (topP < 1 || minP > 0) total = dropBelow(weight, minP) // the largest weight is 1
    const target = this.#random.uniform(position) * total
    let sofar = 0
    let last = 0
    for (let i = 0; i < weight.length; i++) {
      if (weight[i] === 0) continue
      sofar += weight[i]!
      last = i
      if (sofar > target) break
    }
    return kept ? kept[last]! : last
  }
}

function pick(values: Float32Array | Float64Array, indices: Int32Array): Float64Array {
  const picked = new Float64Array(indices.length)
  for (let i = 0; i < indices.length; i++) picked[i] = values[indices[i]!]!
  return picked
}

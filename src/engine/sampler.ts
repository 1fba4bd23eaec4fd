/**
 * Chooses the next token from logits. The order of the steps and of every sum is fixed (docs/generation.md) and the random number depends on the
 * seed and the token's position alone, so a choice can be repeated anywhere and by anyone who has the logits.
 */
import { VeritError } from '../lib/errors.ts'
import { expCore } from '../lib/functions.ts'
import { Philox, purpose } from '../lib/philox.ts'
import { Descending, largestIndices, largestLogits } from './descending.ts'
import { penalize, penalizes } from './penalties.ts'
import type { Penalties } from './penalties.ts'

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

/** e^x for x <= 0, and 0 where that is below 1e-300. */
export const expNegative = (x: number): number => (x < -690 ? 0 : expCore(x))

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

/** Draws the tokens of one sequence. Remembers nothing: every choice follows from the arguments. */
export class Sampler {
  #options: SamplingOptions
  #random: Philox
  #scores = new Float64Array(0)

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
    const { temperature, topK } = this.#options, limit = temperature === 0 ? 1 : topK === 0 ? logits.length : Math.min(topK, logits.length)
    if (limit < logits.length && !penalizes(this.#options)) {
      const kept = largestLogits(logits, limit), max = kept === undefined ? NaN : logits[kept[0]!]!
      if (!Number.isFinite(max)) largest(logits) // says what is wrong
      return temperature === 0 ? kept![0]! : this.#draw(kept!.sort(), Float64Array.from(kept!, id => logits[id]!), max, ids.length)
    }
    if (this.#scores.length !== logits.length) this.#scores = new Float64Array(logits.length)
    const scores = this.#scores
    scores.set(logits)
    penalize(scores, ids, promptTokens, this.#options)
    const max = largest(scores)
    if (temperature === 0) return scores.indexOf(max)
    const kept = limit < scores.length ? largestIndices(scores, limit).sort() : undefined
    return this.#draw(kept, kept ? Float64Array.from(kept, id => scores[id]!) : scores, max, ids.length)
  }

  /** @param kept the candidates by ascending id; undefined: all. @param score theirs. @param max the largest. @param position of the token to be chosen */
  #draw(kept: Int32Array | undefined, score: Float64Array, max: number, position: number): number {
    const { temperature, topP, minP } = this.#options
    /** Probabilities times a constant. */
    const weight = score.map(x => expNegative((x - max) / temperature))
    let alive: Int32Array | undefined
    if (topP < 1) alive = nucleus(new Descending(score), weight, topP * sum(weight)).sort()
    const low = minP // the largest weight is 1
    let total = 0
    const candidates = alive?.length ?? weight.length
    for (let c = 0; c < candidates; c++) {
      const w = weight[alive ? alive[c]! : c]!
      if (w >= low) total += w
    }
    const target = this.#random.uniform(position) * total
    let sofar = 0
    let last = 0
    for (let c = 0; c < candidates; c++) {
      const at = alive ? alive[c]! : c
      if (weight[at]! < low || weight[at] === 0) continue
      sofar += weight[at]!
      last = kept ? kept[at]! : at
      if (sofar > target) break
    }
    return last
  }
}

/** The first elements of an order that weigh `enough`. */
function nucleus(order: Descending, weight: Float64Array, enough: number): Int32Array {
  const taken: number[] = []
  let sofar = 0
  for (let c = order.next(); c >= 0; c = order.next()) {
    taken.push(c)
    sofar += weight[c]!
    if (sofar >= enough) break
  }
  return Int32Array.from(taken)
}

function sum(values: Float64Array): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]!
  return total
}

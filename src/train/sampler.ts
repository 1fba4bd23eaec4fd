/**
 * Which windows of the training data a step sees: a random start for each sequence, a function of the seed and of the
 * place of the sequence in the run (step, micro-batch, position in it) and of nothing else. So a resumed run goes on as
 * if it had never stopped.
 */
import { Philox, purpose } from '../lib/philox.ts'

export class Sampler {
  #random: Philox
  #starts: number

  /** @param tokens length of the training data, above `context` */
  constructor(seed: number, tokens: number, context: number) {
    this.#random = new Philox(seed, purpose.batches, 0)
    this.#starts = tokens - context
  }

  /**
   * First token of the window of sequence `index`, counted over the whole run; from 0 to tokens - context - 1, so that
   * its last target exists. The top 53 bits of words 2·index and 2·index + 1 are the random number.
   */
  start(index: number): number {
    const unit = (this.#random.word(2 * index) * 2 ** 21 + (this.#random.word(2 * index + 1) >>> 11)) * 2 ** -53
    return Math.min(Math.floor(unit * this.#starts), this.#starts - 1)
  }
}

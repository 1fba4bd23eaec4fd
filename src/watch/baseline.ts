/** The baseline of a key: mean and deviation of a figure, weighted towards the present, and its recent peak. */

/** Weight of the newest value; fifty values are the memory. The first ones count evenly. */
const WEIGHT = 0.02
/** Remaining fraction of a peak after one more value. */
const PEAK_DECAY = 0.98

export interface BaselineNumbers {
  readonly count: number
  readonly mean: number
  readonly variance: number
  readonly peak: number
}

export class Baseline {
  #count = 0
  #mean = 0
  #variance = 0
  #peak = 0

  constructor(from?: BaselineNumbers) {
    if (from !== undefined)
      [this.#count, this.#mean, this.#variance, this.#peak] = [from.count, from.mean, from.variance, from.peak]
  }

  get count(): number {
    return this.#count
  }

  get mean(): number {
    return this.#mean
  }

  add(value: number): void {
    this.#count++
    const weight = Math.max(WEIGHT, 1 / this.#count)
    const off = value - this.#mean
    this.#mean += weight * off
    this.#variance = (1 - weight) * (this.#variance + weight * off * off)
    this.#peak = Math.max(value, this.#peak * PEAK_DECAY)
  }

  /**
   * The threshold of unusual values: the largest of four times the mean, the mean and eight deviations, twice the
   * recent peak, and `least`.
   */
  bound(least: number): number {
    return Math.max(least, 4 * this.#mean, this.#mean + 8 * Math.sqrt(this.#variance), 2 * this.#peak)
  }

  toJSON(): BaselineNumbers {
    return { count: this.#count, mean: this.#mean, variance: this.#variance, peak: this.#peak }
  }
}

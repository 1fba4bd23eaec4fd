/**
 * Estimates how many draft tokens pay, from the acceptance rate after matches of each length in this text. The rate is
 * known for every token, whether its draft was run or not, so no run is spent on measuring. No clock is read, so the
 * same requests take the same steps again.
 */

/** Longer matches count as this long. */
export const LONGEST = 16
/** Least weight of a new outcome, and how many outcomes the first estimate stands for. */
const NEWEST = 1 / 32
const BEFORE = 8

/** First estimate of the acceptance rate, by the length of the match: below the rates measured in texts. */
const first = (length: number): number => (length < 3 ? 0.1 : length < 4 ? 0.25 : length < 8 ? 0.5 : 0.8)

export class AcceptanceRates {
  #rate = Float64Array.from({ length: LONGEST + 1 }, (_, length) => first(length))
  #seen = new Float64Array(LONGEST + 1).fill(BEFORE)

  /**
   * @param length of the match before the token, 1 to LONGEST.
   * @param accepted whether its continuation was the token that came
   */
  note(length: number, accepted: boolean): void {
    this.#seen[length] = Math.min(this.#seen[length]! + 1, 1 / NEWEST)
    this.#rate[length]! += ((accepted ? 1 : 0) - this.#rate[length]!) / this.#seen[length]!
  }

  /**
   * The number of draft tokens with the most expected tokens per time. Each accepted token makes the match one longer.
   * @param length of the current match
   * @param most limit of the result
   * @param rowCost time of an additional row, in runs of one row
   */
  draftLength(length: number, most: number, rowCost: number): number {
    let tokens = 1
    let likely = 1
    let best = 1
    let count = 0
    for (let n = 1; n <= most; n++) {
      likely *= this.#rate[Math.min(length + n - 1, LONGEST)]!
      tokens += likely
      const speed = tokens / (1 + n * rowCost)
      if (speed > best) [best, count] = [speed, n]
    }
    return count
  }
}

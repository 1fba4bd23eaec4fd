/**
 * How many guessed tokens are worth being verified: from how often guesses after a match of each length were right in this text so far. That is known of every token, whether its guess was
 * verified or not, so nothing is ever run to find out whether guessing pays; and no clock is asked, so the same requests take the same steps again.
 */

/** The longest match that is told apart. */
export const LONGEST = 16
/** How much a new outcome counts at least, and how many outcomes the first estimate stands for. */
const NEWEST = 1 / 32
const BEFORE = 8

/** Share of right guesses to begin with, by the length of the match: below what was seen in texts. */
const first = (length: number): number => (length < 3 ? 0.1 : length < 4 ? 0.25 : length < 8 ? 0.5 : 0.8)

export class GuessRecord {
  #right = Float64Array.from({ length: LONGEST + 1 }, (_, length) => first(length))
  #seen = new Float64Array(LONGEST + 1).fill(BEFORE)

  /** @param length of the match that the guess followed, 1 to LONGEST */
  note(length: number, right: boolean): void {
    this.#seen[length] = Math.min(this.#seen[length]! + 1, 1 / NEWEST)
    this.#right[length]! += ((right ? 1 : 0) - this.#right[length]!) / this.#seen[length]!
  }

  /**
   * How many to bring: as many as promise the most tokens for the time. Each right guess makes the match one longer.
   * @param length of the match now. @param most that may be brought. @param rowCost time of one more row in a run, in runs of one row
   */
  worth(length: number, most: number, rowCost: number): number {
    let tokens = 1, likely = 1, best = 1, count = 0
    for (let n = 1; n <= most; n++) {
      likely *= this.#right[Math.min(length + n - 1, LONGEST)]!
      tokens += likely
      const speed = tokens / (1 + n * rowCost)
      if (speed > best) [best, count] = [speed, n]
    }
    return count
  }
}

/**
 * How many draft tokens an answer may add to a step of speculative decoding: by the acceptance rate of earlier drafts
 * in the same text, by the cost of an additional row on this machine, and by the number of concurrent answers.
 */

/** Longer matches count as this long. */
export const LONGEST = 16
/** Least weight of a new outcome, and how many outcomes the first estimate stands for. */
const NEWEST = 1 / 32
const BEFORE = 8

/** First estimate of the acceptance rate, by the length of the match: below the rates measured in texts. */
const first = (length: number): number => {
  if (length < 3) return 0.1
  if (length < 4) return 0.25
  return length < 8 ? 0.5 : 0.8
}

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

const AVX512 = 1 / 3
/** For BitNet models with AVX2, with and without AVX-VNNI; the last also if drafts are forced without a measurement. */
const AVX2VNNI = 3 / 5
const AVX2 = 2 / 3

/**
 * Cost of an additional row in runs of one row: the highest measured, and a little more (docs/internals/generation.md
 * has the figures), so that drafts never lose time. Undefined: no drafts.
 * @param executor its name, such as 'native avx512'
 * @param ternary whether the projections are ternary
 * @param speculate true: always; false: never; a number: this cost; undefined: where measured to be faster
 */
export function rowCost(
  executor: string,
  ternary: boolean,
  speculate: boolean | number | undefined
): number | undefined {
  if (speculate === false) return undefined
  if (typeof speculate === 'number') return speculate
  if (executor === 'native avx512') return AVX512
  if (ternary && executor === 'native avx2vnni') return AVX2VNNI
  if (ternary && executor === 'native avx2') return AVX2
  return speculate === true ? AVX2 : undefined
}

/** Limit for an answer that runs alone: kernels take up to eight rows. */
export const MOST_DRAFT_TOKENS = 7
/**
 * By the number of answers. Two answers with one more row each delay each other little; three and more would wait for
 * each other's rows.
 */
const LIMITS = [0, MOST_DRAFT_TOKENS, 1]

/** Draft tokens that each answer may add to a step. @param rows maximum rows of a step */
export const draftLimit = (answers: number, rows: number): number =>
  Math.min(LIMITS[answers] ?? 0, Math.floor(rows / Math.max(answers, 1)) - 1)

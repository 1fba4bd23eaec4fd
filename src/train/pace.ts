/** Measures the time of a step as early as possible: after some steps, or parts of a long first one. */

/** Seconds after which parts of the first step are enough. */
const PATIENCE = 5
/** Steps that are enough. The first one is slower than the others and does not count. */
const ENOUGH = 3

export interface MeasuredPace {
  /** Duration of a step. */
  readonly seconds: number
  /** Steps that were measured; 0: a part of the first one. */
  readonly steps: number
}

const mean = (times: readonly number[]): number => times.reduce((a, b) => a + b, 0) / times.length

export class Pace {
  #microBatches: number
  /** Seconds of whole steps, and of the micro-batches of the first one. */
  #steps: number[] = []
  #parts: number[] = []
  #begun = 0
  #last = 0
  #told = false

  /** @param microBatches of a step */
  constructor(microBatches: number) {
    this.#microBatches = microBatches
  }

  /** A step begins. */
  begin(): void {
    this.#begun = performance.now()
    this.#last = this.#begun
  }

  /** A micro-batch ended. */
  part(): void {
    const now = performance.now()
    if (this.#steps.length === 0) this.#parts.push((now - this.#last) / 1000)
    this.#last = now
  }

  /** The step ended. @returns its seconds */
  end(): number {
    const took = (performance.now() - this.#begun) / 1000
    if (this.#steps.length <= ENOUGH) this.#steps.push(took)
    return took
  }

  /** The pace, the first time that it is known. @param last whether no step will follow, so that fewer suffice */
  tell(last = false): MeasuredPace | undefined {
    if (this.#told) return undefined
    const measured = this.#measured(last)
    this.#told = measured !== undefined
    return measured
  }

  #measured(last: boolean): MeasuredPace | undefined {
    const [first, ...rest] = this.#steps
    if (rest.length >= ENOUGH || (rest.length > 0 && last)) return { seconds: mean(rest), steps: rest.length }
    if (first !== undefined) return first > PATIENCE || last ? { seconds: first, steps: 1 } : undefined
    if (this.#parts.length === 0 || performance.now() - this.#begun < 1000 * PATIENCE) return undefined
    const parts = this.#parts.length > 1 ? this.#parts.slice(1) : this.#parts
    return { seconds: this.#microBatches * mean(parts), steps: 0 }
  }
}

/** One thing at a time, in the order of asking. */

export class Mutex {
  #last: Promise<unknown> | undefined

  /** Runs `work` after all earlier work, however that ended; at once if there is none. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last
    const result = before === undefined ? work() : before.then(work, work)
    this.#last = result
    const forget = (): void => {
      if (this.#last === result) this.#last = undefined
    }
    result.then(forget, forget)
    return result
  }
}

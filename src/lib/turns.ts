/**
 * Turns for work. Long work on a thread that also serves others is cut into slices; each slice waits for a turn, and a
 * round of the event loop has one turn, so other work waits for one slice only. A mutex runs one piece of work after
 * the other.
 */

const waiting: (() => void)[] = []

/** Resolves when the next slice may run: in a later round of the event loop, in the order of asking. */
export function turn(): Promise<void> {
  return new Promise(resolve => {
    if (waiting.push(resolve) === 1) setImmediate(give)
  })
}

function give(): void {
  waiting.shift()!()
  if (waiting.length > 0) setImmediate(give)
}

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

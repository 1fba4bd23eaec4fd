/**
 * Admission of generations: some run, some wait, the rest get 503. A free slot goes to the key with the fewest running
 * generations, then to the earliest: a key that asks for much waits for itself, and others do not wait for it.
 */
import { VeritError } from '../lib/errors.ts'

export interface AdmissionLimits {
  /** Maximum number of running generations. */
  parallel: number
  /** Generations that wait. */
  queue: number
}

interface Waiting {
  keyId: string
  admit: () => void
}

export class Admission {
  #limits: AdmissionLimits
  #running = 0
  #runningPerKey = new Map<string, number>()
  #waiting: Waiting[] = []

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
  }

  /** Whether the next request must wait, or is refused. */
  get full(): boolean {
    return this.#running >= this.#limits.parallel
  }

  get load(): { running: number; waiting: number } {
    return { running: this.#running, waiting: this.#waiting.length }
  }

  /**
   * Waits for a place; dispose of it when the generation has ended. Undefined when the signal came first.
   * @throws VeritError VERIT_BUSY (the queue is full)
   */
  async enter(keyId: string, signal: AbortSignal): Promise<Disposable | undefined> {
    if (this.#running >= this.#limits.parallel && this.#waiting.length >= this.#limits.queue) {
      throw new VeritError('VERIT_BUSY', { running: this.#running, waiting: this.#waiting.length })
    }
    if (!(await this.#place(keyId, signal))) return undefined
    return {
      [Symbol.dispose]: () => {
        change(this.#runningPerKey, keyId, -1)
        this.#running--
        this.#admitNext()
      }
    }
  }

  #run(keyId: string): void {
    this.#running++
    change(this.#runningPerKey, keyId, 1)
  }

  #admitNext(): void {
    const runs = ({ keyId }: Waiting): number => this.#runningPerKey.get(keyId) ?? 0
    const fewest = Math.min(...this.#waiting.map(runs))
    const at = this.#waiting.findIndex(w => runs(w) === fewest)
    if (at < 0) return
    const [next] = this.#waiting.splice(at, 1)
    this.#run(next!.keyId)
    next!.admit()
  }

  async #place(keyId: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    if (this.#running < this.#limits.parallel) {
      this.#run(keyId)
      return true
    }
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const entry = { keyId, admit: () => resolve(true) }
    const leave = (): void => {
      const at = this.#waiting.indexOf(entry)
      if (at < 0) return // admitted already
      this.#waiting.splice(at, 1)
      resolve(false)
    }
    this.#waiting.push(entry)
    signal.addEventListener('abort', leave, { once: true })
    const admitted = await promise
    signal.removeEventListener('abort', leave)
    return admitted
  }
}

/** Counts, and forgets keys that have none. */
function change(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}

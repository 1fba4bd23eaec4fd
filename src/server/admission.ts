/** How many generations run and wait at once: a few run, some wait in order of arrival, the rest are told to come back. */
import { VeritError } from '../lib/errors.ts'

export interface AdmissionLimits {
  /** Generations that run side by side. */
  parallel: number
  /** Generations that wait. */
  queue: number
  /** Generations of one key, running and waiting. */
  perKey: number
}

export class Admission {
  #limits: AdmissionLimits
  #running = 0
  #waiting: { admit: () => void }[] = []
  #perKey = new Map<string, number>()

  constructor(limits: AdmissionLimits) {
    this.#limits = limits
  }

  /**
   * Waits for a place; dispose of it when the generation is over. Undefined when the signal came first.
   * @throws VeritError VERIT_TOO_MANY (this key's limit), VERIT_BUSY (the queue is full)
   */
  async enter(keyId: string, signal: AbortSignal): Promise<Disposable | undefined> {
    const own = this.#perKey.get(keyId) ?? 0
    if (own >= this.#limits.perKey) throw new VeritError('VERIT_TOO_MANY', { limit: this.#limits.perKey })
    if (this.#running >= this.#limits.parallel && this.#waiting.length >= this.#limits.queue) {
      throw new VeritError('VERIT_BUSY', { running: this.#running, waiting: this.#waiting.length })
    }
    this.#perKey.set(keyId, own + 1)
    if (!(await this.#place(signal))) {
      this.#leave(keyId)
      return undefined
    }
    return {
      [Symbol.dispose]: () => {
        const next = this.#waiting.shift()
        if (next === undefined) this.#running--
        else next.admit() // the place passes on
        this.#leave(keyId)
      },
    }
  }

  async #place(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false
    if (this.#running < this.#limits.parallel) {
      this.#running++
      return true
    }
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const entry = { admit: () => resolve(true) }
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

  #leave(keyId: string): void {
    const left = this.#perKey.get(keyId)! - 1
    if (left === 0) this.#perKey.delete(keyId)
    else this.#perKey.set(keyId, left)
  }
}

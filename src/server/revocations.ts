/**
 * Ends generations whose key is revoked, expires, or loses its right: the keys of all running generations are read four
 * times a second. An unreadable store ends them after a while.
 */
import { VeritError } from '../lib/errors.ts'
import type { KeyRecord, KeyStore } from '../store/key-store.ts'

const EVERY_MS = 250
/** Readings that may fail in a row. */
const MOST_FAILURES = 8

interface Running {
  keyId: string
  permits: (record: KeyRecord) => boolean
  end: (why: VeritError) => void
}

export const noLonger = (): VeritError =>
  new VeritError('VERIT_UNAUTHORIZED', { problem: 'the one sent is no longer valid' })

export class Revocations {
  #keys: Pick<KeyStore, 'valid'>
  #running = new Set<Running>()
  #scheduled = false
  #failures = 0

  constructor(keys: Pick<KeyStore, 'valid'>) {
    this.#keys = keys
  }

  /**
   * Watches a generation until disposed of.
   * @param permits whether the current key may still do this
   * @param end called once, with the error to answer with
   */
  watch(keyId: string, permits: (record: KeyRecord) => boolean, end: (why: VeritError) => void): Disposable {
    const running = { keyId, permits, end }
    this.#running.add(running)
    this.#schedule()
    return { [Symbol.dispose]: () => void this.#running.delete(running) }
  }

  async #round(): Promise<void> {
    const running = [...this.#running]
    try {
      const valid = await this.#keys.valid([...new Set(running.map(r => r.keyId))])
      this.#failures = 0
      for (const r of running) {
        const record = valid.get(r.keyId)
        if (record === undefined || !r.permits(record)) this.#end(r, noLonger())
      }
    } catch (e) {
      if (++this.#failures >= MOST_FAILURES)
        for (const r of running) this.#end(r, new VeritError('VERIT_UNAVAILABLE', { what: 'key store' }, e))
    }
    this.#scheduled = false
    if (this.#running.size > 0) this.#schedule()
  }

  #schedule(): void {
    if (!this.#scheduled) setTimeout(() => void this.#round(), EVERY_MS).unref()
    this.#scheduled = true
  }

  #end(running: Running, why: VeritError): void {
    if (this.#running.delete(running)) running.end(why)
  }
}

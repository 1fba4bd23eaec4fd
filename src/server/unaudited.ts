/**
 * A period without an audit log, kept in the database until a log can record it: start, reason, number of requests and
 * tokens. A crash loses less than 5 s of the counts.
 */
import type { Log } from '../lib/log.ts'
import type { Evidence, UnauditedPeriod } from '../store/store.ts'

const EVERY_MS = 5000

export class UnauditedTime implements AsyncDisposable {
  #evidence: Evidence
  #log: Log
  #period: { -readonly [F in keyof UnauditedPeriod]: UnauditedPeriod[F] }
  #timer: NodeJS.Timeout

  private constructor(evidence: Evidence, log: Log, period: UnauditedPeriod) {
    this.#evidence = evidence
    this.#log = log
    this.#period = { ...period }
    this.#timer = setInterval(() => void this.#save(false), EVERY_MS).unref()
  }

  /**
   * Begins a period, or goes on with one that no log has yet. It is on disk when this resolves.
   * @throws VeritError VERIT_STORE
   */
  static async begin(evidence: Evidence, reason: string, log: Log): Promise<UnauditedTime> {
    const now = new Date().toISOString()
    const before = await evidence.unaudited()
    const period = before ?? { since: now, until: now, reason, requests: 0, tokens: 0 }
    await evidence.saveUnaudited({ ...period, until: now }, true)
    const { since } = period
    log.warn({ since }, `no audit log is kept (${reason}): the next start with a log records this time in it`)
    return new UnauditedTime(evidence, log, period)
  }

  /** Counts a request that was answered. */
  count(tokens: number): void {
    this.#period.requests++
    this.#period.tokens += tokens
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#save(true)
  }

  async #save(durable: boolean): Promise<void> {
    this.#period.until = new Date().toISOString()
    try {
      await this.#evidence.saveUnaudited(this.#period, durable)
    } catch (e) {
      const cause = e instanceof Error ? e.message : String(e)
      this.#log.error({ cause }, 'the time without an audit log was not saved in the database')
    }
  }
}

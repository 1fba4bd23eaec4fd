/**
 * Deletes expired texts of the audit log: at the start, then every hour. Entries stay. Deletion is final, so a clock
 * that jumps ahead gets an hour to be corrected.
 */
import type { FolderAuditLog } from '../audit/audit-log.ts'
import type { Log } from '../lib/log.ts'

const HOUR_MS = 3_600_000
/** A clock that a time server keeps is never adjusted by more within an hour. */
const STEADY_MS = 600_000

/**
 * @param days after which texts go
 * @param latest the latest time that the store had seen before this start; where the clock is far ahead of it, nothing
 * is deleted for an hour
 */
export function keepTextsFor(days: number, audit: FolderAuditLog, log: Log, latest = new Date()): Disposable {
  const clock = new SteadyClock(latest.getTime())
  const round = (): void => {
    if (!clock.isSteady(Date.now(), performance.now())) {
      return log.warn('the clock has jumped ahead: texts of the audit log are not deleted in this hour')
    }
    const tell = (gone: readonly string[]): void => {
      if (gone.length > 0) log.info({ days: gone }, 'texts of the audit log were deleted')
    }
    const failed = (e: unknown): void => {
      log.error({ cause: e instanceof Error ? e.message : String(e) }, 'texts of the audit log could not be deleted')
    }
    void audit.deleteTexts(days).then(tell, failed)
  }
  round()
  const timer = setInterval(round, HOUR_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** Compares the clock with a monotonic one, from each question to the next. */
export class SteadyClock {
  /** ms since 1970 by which the clock should be at the monotonic time `at`. */
  #expected: number
  #at: number | undefined

  /** @param latest ms since 1970: the latest time that was seen before */
  constructor(latest: number) {
    this.#expected = latest
  }

  /**
   * Whether the clock has not jumped ahead since the last question; the first time, by more than a day since `latest`.
   */
  isSteady(time: number, monotonic: number): boolean {
    const elapsed = this.#at === undefined ? 24 * HOUR_MS : monotonic - this.#at + STEADY_MS
    const most = this.#expected + elapsed
    this.#expected = time
    this.#at = monotonic
    return time <= most
  }
}

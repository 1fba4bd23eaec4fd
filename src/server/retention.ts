/** Deletes texts of the audit log when their time is up: at the start, then every hour. Entries stay. */
import type { FolderAuditLog } from '../audit/audit-log.ts'
import type { Log } from '../lib/log.ts'

const HOUR_MS = 3_600_000

/** @param days after which texts go */
export function keepTextsFor(days: number, audit: FolderAuditLog, log: Log): Disposable {
  const round = (): void => void audit.deleteTexts(days).then(
    gone => gone.length > 0 && log.info({ days: gone }, 'texts of the audit log were deleted'),
    (e: unknown) => log.error({ cause: e instanceof Error ? e.message : String(e) }, 'texts of the audit log could not be deleted'))
  round()
  const timer = setInterval(round, HOUR_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

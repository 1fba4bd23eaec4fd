/**
 * Appends to the audit log for a request. If that fails, the time until it works again is a gap: the first entry
 * afterwards records its start. Until then the database keeps it, so that the next start records it if this process
 * ends before.
 */
import type { AuditLog, NewAuditEntry, RequestTexts } from '../audit/entry.ts'
import { VeritError } from '../lib/errors.ts'
import type { GatewayContext } from './context.ts'

/** Appends, and measures the time. Undefined without a log. @throws VeritError VERIT_AUDIT */
export async function appendEntry(
  context: GatewayContext,
  entry: NewAuditEntry,
  texts?: RequestTexts
): Promise<number | undefined> {
  const { audit } = context
  if (audit === undefined) return undefined
  await closeGap(context)
  const start = performance.now()
  const index = await orFails(context, () => audit.append(entry, texts))
  context.metrics.auditAppended((performance.now() - start) / 1000)
  return index
}

/**
 * Writes the entry of a gap, if there is one; concurrent requests share it.
 * @throws VeritError VERIT_AUDIT while the log cannot be written
 */
export function closeGap(context: GatewayContext): Promise<void> {
  const { audit, auditFailing: since } = context
  if (audit === undefined || since === undefined) return Promise.resolve()
  context.closingGap ??= writeGap(context, audit, since).finally(() => (context.closingGap = undefined))
  return context.closingGap
}

async function writeGap(context: GatewayContext, audit: AuditLog, since: string): Promise<void> {
  await orFails(context, () => audit.append({ type: 'server', event: 'gap', detail: { since } }))
  context.auditFailing = undefined
  keep(context, () => context.store.evidence.forgetUnaudited())
}

async function orFails<T>(context: GatewayContext, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (e) {
    if (context.auditFailing === undefined) {
      const since = new Date().toISOString()
      context.auditFailing = since
      const period = { since, until: since, reason: 'the audit log could not be written', requests: 0, tokens: 0 }
      keep(context, () => context.store.evidence.saveUnaudited(period, true))
    }
    throw e
  }
}

/** One after the other, outside the path of requests: the database may be on the full disk. */
function keep(context: GatewayContext, work: () => Promise<void>): void {
  context.keepingGap = (context.keepingGap ?? Promise.resolve()).then(work).catch((e: unknown) => {
    const cause = VeritError.is(e) ? e.what : String(e)
    context.log.error({ cause }, 'a gap of the audit log was not noted in the database')
  })
}

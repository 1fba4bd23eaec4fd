/**
 * Synchronises the database and the audit log every few seconds, outside the path of requests: the database receives
 * the log's newest checkpoint, and the log receives a period without a log. Everything sent is already on disk with the
 * log.
 */
import { join } from 'node:path'
import { openAuditLog } from '../audit/audit-log.ts'
import type { FolderAuditLog } from '../audit/audit-log.ts'
import { IN_DATABASE } from '../audit/continues.ts'
import type { Log } from '../lib/log.ts'
import { VERSION } from '../lib/version.ts'
import type { Evidence } from '../store/store.ts'
import { parseCheckpoint } from '../trust/checkpoint.ts'
import { parseNote } from '../trust/signed-note.ts'
import type { ServerConfig } from './config.ts'

const EVERY_MS = 5000

export interface KeptLog extends AsyncDisposable {
  readonly audit: FolderAuditLog
}

/**
 * Opens the audit log, which must continue the database's checkpoint, and begins it with earlier facts: the start, a
 * previous other log, and the period without a log.
 * @throws VeritError VERIT_AUDIT_ROLLBACK and those of openAuditLog
 */
export async function openKeptLog(
  config: ServerConfig['audit'],
  state: string,
  evidence: Evidence,
  log: Log
): Promise<KeptLog> {
  const { origin, textsKey } = config
  const known = (key: string): Promise<string | undefined> => evidence.checkpoint(key)
  const audit = await openAuditLog(join(state, 'audit'), { origin, textsKey, log, known })
  try {
    const before = await previousLog(evidence, audit, log)
    const detail = { pid: process.pid, version: VERSION, ...(before !== undefined && { before }) }
    await audit.append({ type: 'server', event: 'start', detail })
    await tellGap(evidence, audit, log)
  } catch (e) {
    await audit.close()
    throw e
  }
  const saving = new CheckpointSaving(evidence, audit, log)
  return {
    audit,
    async [Symbol.asyncDispose]() {
      await audit.close()
      await saving.close()
    }
  }
}

/** Its verifier key, and the size and root (base64) of its newest checkpoint that the database has. */
interface PreviousLog {
  readonly key: string
  readonly size: number
  readonly root: string
}

/**
 * The log that this gateway wrote before, if it is another one: someone moved it away, or replaced it with this one.
 */
async function previousLog(evidence: Evidence, audit: FolderAuditLog, log: Log): Promise<PreviousLog | undefined> {
  const last = await evidence.lastLog()
  if (last === undefined || last.key === audit.verifierKey) return undefined
  const { size, root } = parseCheckpoint(parseNote(last.checkpoint, IN_DATABASE).text, IN_DATABASE)
  const before = { key: last.key, size, root: root.toString('base64') }
  const now = audit.verifierKey
  log.warn({ ...before, now }, 'this is another audit log than the one that this server wrote before')
  return before
}

/** A time without a log, or one in which it could not be written when the server ended. */
async function tellGap(evidence: Evidence, audit: FolderAuditLog, log: Log): Promise<void> {
  const period = await evidence.unaudited()
  if (period === undefined) return
  await audit.append({ type: 'server', event: 'gap', detail: { ...period } })
  await evidence.forgetUnaudited()
  log.warn({ ...period }, 'the server ran without an audit log; the log now says so')
}

class CheckpointSaving {
  #evidence: Evidence
  #audit: FolderAuditLog
  #log: Log
  #saved = ''
  #failing = false
  #timer: NodeJS.Timeout

  constructor(evidence: Evidence, audit: FolderAuditLog, log: Log) {
    this.#evidence = evidence
    this.#audit = audit
    this.#log = log
    this.#timer = setInterval(() => void this.#save(), EVERY_MS).unref()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#save()
  }

  async #save(): Promise<void> {
    const { synced: checkpoint, verifierKey: key } = this.#audit
    if (checkpoint === '' || checkpoint === this.#saved) return
    try {
      await this.#evidence.saveCheckpoint({ key, checkpoint })
      this.#saved = checkpoint
      this.#failing = false
    } catch (e) {
      const cause = e instanceof Error ? e.message : String(e)
      if (!this.#failing) this.#log.error({ cause }, 'the checkpoint of the audit log was not saved in the database')
      this.#failing = true
    }
  }
}

/**
 * The audit log of a gateway (AuditLog of entry.ts) in a folder. Entries that arrive while a group is being written
 * form the next group, so that many requests share two syncs of the disk. docs/internals/audit-log.md describes the
 * files.
 */
import type { KeyObject } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { ExclusiveLock } from '../lib/exclusive-lock.ts'
import type { Log } from '../lib/log.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import type { SignerKey } from '../trust/note-key.ts'
import { DaySecrets, commitmentsTo, dayOf, isDay } from './day-secrets.ts'
import { draftEntry, entryBytes } from './draft.ts'
import type { Draft } from './draft.ts'
import type { AuditLog, NewAuditEntry, RequestTexts } from './entry.ts'
import { openLogFolder, openLogKey } from './log-key.ts'
import { LogWriter } from './log-writer.ts'
import { readTextsKey, sealTexts } from './sealed-texts.ts'
import { TextsFile } from './texts-file.ts'

export interface AuditLogOptions {
  /**
   * Name of the log in its checkpoints. '' or absent: the existing name; for a new log `verit/` and digits of its key.
   */
  origin?: string
  /** File of an X25519 public key in PEM: texts are kept, sealed to it. Absent or '': no texts are kept. */
  textsKey?: string
  /**
   * The newest checkpoint of the log with this verifier key that is remembered elsewhere. A log that does not continue
   * it is not opened, so nothing is signed that would contradict it.
   */
  known?: (verifierKey: string) => Promise<string | undefined>
  /** Called with repairs, and when the clock went back. */
  log?: Log
}

/** Functions of a log in a folder beyond the gateway's interface. */
export interface FolderAuditLog extends AuditLog {
  /**
   * Deletes texts and salts of days that ended more than `days` days ago; entries stay. An entry (`texts-deleted`)
   * records the deletion first. @returns the days deleted, for example ['2026-10-01']
   */
  deleteTexts(days: number): Promise<string[]>
  /** The newest checkpoint that a power cut would not take back. */
  readonly synced: string
  /** Groups written since it was opened: each costs two syncs of the disk, one more with texts. */
  readonly groups: number
}

interface Waiting {
  draft: Draft
  units: number
  resolve: (index: number) => void
  reject: (e: unknown) => void
}

/** Entries that may wait, and UTF-16 units of their texts together. */
const QUEUE = 8192
const QUEUED_TEXT = 64 << 20

/**
 * Opens the log in `folder` for writing, or begins one there.
 * @throws VeritError VERIT_AUDIT_LOCKED (another writer), VERIT_AUDIT_DAMAGED, VERIT_AUDIT_ORIGIN, VERIT_AUDIT_ROLLBACK
 * (it does not continue the checkpoint that is remembered), VERIT_STATE (others can use the folder)
 */
export async function openAuditLog(folder: string, options: AuditLogOptions = {}): Promise<FolderAuditLog> {
  const textsKey =
    options.textsKey === undefined || options.textsKey === '' ? undefined : loadTextsKey(options.textsKey)
  openLogFolder(folder)
  const lock = lockLog(folder)
  try {
    const signer = openLogKey(folder, options.origin ?? '')
    const known = await options.known?.(signer.verifier.text)
    const { writer, state } = await LogWriter.open(folder, signer, known)
    const kept = state.tree.size - state.checkpoint.size
    if (state.cut > 0 || kept > 0)
      options.log?.warn({ cutBytes: state.cut, keptEntries: kept }, 'the audit log was completed after a crash')
    return new OpenAuditLog({ folder, lock, signer, writer, textsKey, log: options.log, lastTime: state.lastTime })
  } catch (e) {
    lock.release()
    throw e
  }
}

function lockLog(folder: string): ExclusiveLock {
  const path = join(folder, 'lock')
  return new ExclusiveLock(path, {
    held: cause => new VeritError('VERIT_AUDIT_LOCKED', { folder }, cause),
    damaged: (problem, cause) => new VeritError('VERIT_AUDIT_DAMAGED', { file: path, problem }, cause)
  })
}

/**
 * The public key that texts are sealed to. Whoever can write the file can read all texts from the next start on.
 * @throws VeritError VERIT_USAGE if the file contains anything else, even a private key; VERIT_OTHERS_WRITE,
 *   VERIT_OTHERS_OWN and those of reading
 */
export function loadTextsKey(path: string): KeyObject {
  const unfit = (): VeritError =>
    new VeritError('VERIT_USAGE', {
      problem: `${path} is not an X25519 public key in PEM`,
      hint: 'Make a pair with `verit audit texts-key FILE`, and name the public file'
    })
  const pem = readTrusted(path, { kind: 'decides', purpose: 'audit.texts_key', limit: 10_000, tooLong: unfit })
  const key = readTextsKey(pem.toString('utf8'), 'public')
  if (key === undefined) throw unfit()
  return key
}

interface Parts {
  folder: string
  lock: ExclusiveLock
  signer: SignerKey
  writer: LogWriter
  textsKey: KeyObject | undefined
  log: Log | undefined
  lastTime: string
}

class OpenAuditLog implements FolderAuditLog {
  groups = 0
  #parts: Parts
  #secrets: DaySecrets
  #texts: TextsFile
  #queue: Waiting[] = []
  #queuedText = 0
  #lastTime: string
  #clockIsBack = false
  #pumping: Promise<void> | undefined
  #closed: Promise<void> | undefined

  constructor(parts: Parts) {
    this.#parts = parts
    this.#secrets = new DaySecrets(parts.folder)
    this.#texts = new TextsFile(parts.folder)
    this.#lastTime = parts.lastTime
  }

  get size(): number {
    return this.#parts.writer.size
  }

  get origin(): string {
    return this.#parts.signer.verifier.name
  }

  get verifierKey(): string {
    return this.#parts.signer.verifier.text
  }

  get synced(): string {
    return this.#parts.writer.synced
  }

  checkpoint(): string {
    return this.#parts.writer.checkpoint
  }

  async append(entry: NewAuditEntry, texts?: RequestTexts): Promise<number> {
    if (this.#closed !== undefined) throw new VeritError('VERIT_AUDIT', { problem: 'the audit log is closed' })
    const units = texts === undefined ? 0 : texts.prompt.length + texts.answer.length
    if (this.#queue.length >= QUEUE || (this.#queuedText + units > QUEUED_TEXT && this.#queue.length > 0)) {
      throw new VeritError('VERIT_AUDIT', { problem: 'too many entries wait for the disk' })
    }
    const draft = draftEntry(entry, this.#now(), texts)
    return new Promise((resolve, reject) => {
      this.#queue.push({ draft, units, resolve, reject })
      this.#queuedText += units
      this.#pumping ??= this.#pump().finally(() => {
        this.#pumping = undefined
      })
    })
  }

  async deleteTexts(days: number): Promise<string[]> {
    const before = dayOf(new Date(Date.now() - days * 86_400_000).toISOString())
    const { folder } = this.#parts
    // A day from a clock that was far ahead expires by the age of its file.
    const [tomorrow, oldest] = [dayOf(new Date(Date.now() + 86_400_000).toISOString()), Date.now() - days * 86_400_000]
    const isOld = (kind: string, day: string): boolean =>
      day < before || (day > tomorrow && statSync(join(folder, kind, day)).mtimeMs < oldest)
    const files = ['salts', 'texts'].flatMap(kind =>
      list(join(folder, kind))
        .filter(day => isDay(day) && isOld(kind, day))
        .map(day => ({ kind, day }))
    )
    if (files.length === 0) return []
    const gone = [...new Set(files.map(f => f.day))].toSorted()
    // The entry comes first: after a crash in between, the log may announce a deletion that did not happen, never the
    // reverse.
    await this.append({
      type: 'server',
      event: 'texts-deleted',
      detail: { before, days: gone.length, first: gone[0], last: gone.at(-1) }
    })
    for (const { kind, day } of files) await rm(join(folder, kind, day), { force: true })
    return gone
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await this.#pumping
      await this.#texts.close()
      await this.#parts.writer.close()
      this.#parts.lock.release()
    })()
    return this.#closed
  }

  /**
   * The time of an entry that comes now. Where the clock has gone back, time stands still until the clock has caught
   * up.
   */
  #now(): string {
    const now = new Date().toISOString()
    const back = now < this.#lastTime
    if (back && !this.#clockIsBack)
      this.#parts.log?.warn(
        { clock: now, lastEntry: this.#lastTime },
        'the clock went back: entries keep the time of the last one until it has caught up'
      )
    this.#clockIsBack = back
    if (!back) this.#lastTime = now
    return this.#lastTime
  }

  /** Writes groups until nothing waits. Never rejects. */
  async #pump(): Promise<void> {
    await new Promise(setImmediate) // what was appended in this turn of the event loop goes into one group
    while (this.#queue.length > 0) {
      const group = this.#queue.splice(0, this.#parts.writer.room)
      for (const waiting of group) this.#queuedText -= waiting.units
      const first = this.#parts.writer.size
      try {
        await this.#parts.writer.write(await this.#encode(group, first))
      } catch (e) {
        this.#parts.log?.error(
          { err: e instanceof Error ? e.message : String(e), entries: group.length },
          'the audit log cannot be written'
        )
        for (const waiting of group)
          waiting.reject(new VeritError('VERIT_AUDIT', { problem: 'the audit log cannot be written' }, e))
        continue
      }
      this.groups++
      for (const [i, waiting] of group.entries()) waiting.resolve(first + i)
    }
  }

  async #encode(group: readonly Waiting[], first: number): Promise<Buffer[]> {
    const entries: Buffer[] = []
    for (const [i, { draft }] of group.entries()) {
      const { texts } = draft
      if (texts === undefined) {
        entries.push(entryBytes(draft, undefined))
        continue
      }
      const secret = await this.#secrets.of(dayOf(draft.time))
      const index = first + i
      entries.push(entryBytes(draft, commitmentsTo(texts, secret, index)))
    }
    await this.#keepTexts(group, first)
    return entries
  }

  /** Texts are on disk before their entry is: an entry never promises a text that a crash has lost. */
  async #keepTexts(group: readonly Waiting[], first: number): Promise<void> {
    const reader = this.#parts.textsKey
    if (reader === undefined) return
    const byDay = Map.groupBy(group.entries(), ([, waiting]) => dayOf(waiting.draft.time))
    for (const [day, some] of byDay) {
      const lines = some.flatMap(([i, { draft }]) =>
        draft.texts === undefined ? [] : [sealTexts(draft.texts, reader, this.origin, first + i, draft.request ?? '')]
      )
      if (lines.length > 0) await this.#texts.append(day, lines)
    }
  }
}

function list(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

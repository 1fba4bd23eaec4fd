/**
 * One writer at a time: an exclusive lock on a small SQLite database in the log's folder. The system releases it when the process ends, however it ends.
 * Beside other processes it also keeps out a second writer of the same process.
 */
import { DatabaseSync } from 'node:sqlite'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'

export class WriterLock {
  #db: DatabaseSync

  /** @throws VeritError VERIT_AUDIT_LOCKED when another writer has it */
  constructor(folder: string) {
    const path = join(folder, 'lock')
    try {
      closeSync(openSync(path, 'a', 0o600))
    } catch (e) {
      throw fileError(e, path, 'write')
    }
    this.#db = new DatabaseSync(path, { timeout: 0 })
    try {
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    } catch (e) {
      this.#db.close()
      const { errcode } = e as { errcode?: number }
      if (errcode === 5 || errcode === 6) throw new VeritError('VERIT_AUDIT_LOCKED', { folder }, e) // SQLITE_BUSY, SQLITE_LOCKED
      throw new VeritError('VERIT_AUDIT_DAMAGED', { file: path, problem: e instanceof Error ? e.message : String(e) }, e)
    }
  }

  release(): void {
    this.#db.close()
  }
}

/**
 * One holder at a time, over processes: an exclusive lock on a small SQLite database. The system releases it when the
 * process ends, however it ends. It also keeps out a second holder in the same process. SQLite's locks do not work on
 * network file systems.
 */
import { closeSync, existsSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { fileError } from './file-error.ts'

const BUSY = 5
const LOCKED = 6

export interface LockErrors {
  /** The error where somebody else holds the lock. */
  readonly held: (cause: unknown) => Error
  /** The error where the file cannot be used as a lock. */
  readonly damaged: (problem: string, cause: unknown) => Error
}

/** Whether somebody holds the lock. Nothing is taken or made. */
export function isHeld(path: string): boolean {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 0 })
  try {
    db.prepare('SELECT count(*) FROM sqlite_master').get()
    return false
  } catch (e) {
    if (isBusy(e)) return true
    throw e
  } finally {
    db.close()
  }
}

const isBusy = (e: unknown): boolean => [BUSY, LOCKED].includes((e as { errcode?: number }).errcode ?? 0)

export class ExclusiveLock implements Disposable {
  #db: DatabaseSync

  /** Takes the lock, or throws at once. @throws errors made by `errors`; VeritError VERIT_FILE_IO */
  constructor(path: string, { held, damaged }: LockErrors) {
    try {
      // Only a new file: closing a descriptor of one that this process has locked would release the lock.
      if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600))
    } catch (e) {
      throw fileError(e, path, 'write')
    }
    this.#db = new DatabaseSync(path, { timeout: 0 })
    try {
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    } catch (e) {
      this.#db.close()
      if (isBusy(e)) throw held(e)
      throw damaged(e instanceof Error ? e.message : String(e), e)
    }
  }

  release(): void {
    if (this.#db.isOpen) this.#db.close()
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

/** A folder that appears whole or not at all: filled under a temporary name beside it, then renamed. */
import { randomBytes } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { VeritError } from './errors.ts'
import { fileError } from './file-error.ts'
import { makeFolder } from './make-folder.ts'

export interface Replacing {
  /** Whether a folder with content may be replaced. */
  readonly force: boolean
  /** Whether the folder is one that the command makes: replacing means deleting, so others are refused. */
  readonly isOwn: (folder: string) => boolean
  /** What such a folder is called, such as "a dataset made by verit prepare". */
  readonly kind: string
  /** How to name another folder. */
  readonly hint: string
}

export class OutFolder {
  /** Where files are to be written. */
  readonly temporary: string
  #path: string
  #replaces: boolean

  /**
   * Creates the temporary folder. Anything at `path` is refused, unless it is an empty folder, or one of the command's
   * own and `force` is set.
   * @throws VeritError VERIT_FILE_EXISTS, VERIT_USAGE, VERIT_FILE_IO
   */
  constructor(path: string, replacing: Replacing) {
    this.#path = resolve(path)
    this.#replaces = occupied(this.#path, path, replacing)
    this.temporary = join(dirname(this.#path), `.verit-${process.pid}-${randomBytes(8).toString('hex')}.tmp`)
    try {
      makeFolder(dirname(this.#path))
      mkdirSync(this.temporary)
    } catch (e) {
      throw fileError(e, path, 'write')
    }
  }

  /** Gives the folder its name. */
  commit(): void {
    const old = `${this.temporary}-old`
    try {
      if (this.#replaces) renameSync(this.#path, old)
      else if (existsSync(this.#path)) rmdirSync(this.#path) // empty, or this fails
      renameSync(this.temporary, this.#path)
    } catch (e) {
      throw fileError(e, this.#path, 'write')
    }
    if (this.#replaces) rmSync(old, { recursive: true })
  }

  /** Removes the temporary folder. */
  abort(): void {
    rmSync(this.temporary, { recursive: true, force: true })
  }
}

/** Whether something is there that must be moved away. */
function occupied(path: string, shown: string, { force, isOwn, kind, hint }: Replacing): boolean {
  const entry = lstatSync(path, { throwIfNoEntry: false })
  if (entry === undefined || (entry.isDirectory() && readdirSync(path).length === 0)) return false
  if (!force) throw new VeritError('VERIT_FILE_EXISTS', { path: shown })
  if (entry.isDirectory() && isOwn(path)) return true
  throw new VeritError('VERIT_USAGE', { problem: `${shown} is not ${kind}, so it is not replaced`, hint })
}

/** A folder that appears whole or not at all: filled under a temporary name beside it, then renamed. */
import { randomBytes } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { MANIFEST_FORMAT } from './manifest.ts'

export class OutFolder {
  /** Where files are to be written. */
  readonly temporary: string
  #path: string
  #replaces: boolean

  /**
   * Creates the temporary folder. Anything at `path` is refused; with `force` a dataset there is replaced, and anything
   * else is still refused, because replacing means deleting.
   */
  constructor(path: string, force: boolean) {
    this.#path = resolve(path)
    this.#replaces = occupied(this.#path, path, force)
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
function occupied(path: string, shown: string, force: boolean): boolean {
  const entry = lstatSync(path, { throwIfNoEntry: false })
  if (entry === undefined || (entry.isDirectory() && readdirSync(path).length === 0)) return false
  if (!force) throw new VeritError('VERIT_FILE_EXISTS', { path: shown })
  let format: unknown
  try {
    format = (JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8')) as { format?: unknown } | null)?.format
  } catch {
    /* not a dataset: refused below */
  }
  if (!entry.isDirectory() || format !== MANIFEST_FORMAT) {
    throw new VeritError('VERIT_USAGE', {
      problem: `${shown} is not a dataset made by verit prepare, so it is not replaced`,
      hint: 'Choose another --out'
    })
  }
  return true
}

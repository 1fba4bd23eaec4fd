/** Lists the files to prepare: those named, and in folders all below them, in an order that any machine repeats. */
import type { Dirent } from 'node:fs'
import { isUtf8 } from 'node:buffer'
import { readdirSync, statSync } from 'node:fs'
import { basename, extname, join, resolve } from 'node:path'
import { fileError } from '../lib/file-error.ts'

export interface InputFile {
  /** Name in the manifest: the file's own, or the folder's name and the path below it, with `/`. */
  readonly name: string
  readonly path: string
  /** Found in a folder, not given by name: it is skipped if it is not readable text. */
  readonly found: boolean
}

export interface PassedOver {
  readonly name: string
  /** The reason in a word or two, for a list with counts: '.jsonl', 'hidden', 'symbolic link', 'gzip'. */
  readonly reason: string
  /** Whether the file has a wanted ending, so that a person expects it in the dataset. The manifest lists these. */
  readonly wanted: boolean
}

export interface Listing {
  readonly files: InputFile[]
  readonly passedOver: PassedOver[]
}

export const DEFAULT_EXTENSIONS: readonly string[] = ['.txt', '.md', '.text']

/**
 * Lists inputs in the given order, inside a folder by the bytes of the path. In folders only files with a listed
 * extension count. Hidden files, symbolic links, names that are not UTF-8 and unreadable folders are skipped.
 * @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_FILE_IO for named inputs
 */
export function listInputs(paths: readonly string[], extensions: readonly string[] = DEFAULT_EXTENSIONS): Listing {
  const wanted = new Set(extensions.map(e => e.toLowerCase()))
  const listing: Listing = { files: [], passedOver: [] }
  for (const path of paths) {
    const name = basename(resolve(path))
    try {
      if (!statSync(path).isDirectory()) {
        listing.files.push({ name, path, found: false })
        continue
      }
      const inside = new Walk(wanted)
      inside.enter(path, name)
      listing.files.push(...inside.files.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name))))
      listing.passedOver.push(...inside.passedOver)
    } catch (e) {
      throw fileError(e, path, 'read', 'a text to prepare')
    }
  }
  return listing
}

class Walk implements Listing {
  readonly files: InputFile[] = []
  readonly passedOver: PassedOver[] = []
  #wanted: ReadonlySet<string>

  constructor(wanted: ReadonlySet<string>) {
    this.#wanted = wanted
  }

  /** @throws errors of the file system for this folder; unreadable folders below it are skipped */
  enter(folder: string, name: string): void {
    // Bytes: a name that is not UTF-8 would come back as another name.
    for (const entry of readdirSync(folder, { withFileTypes: true, encoding: 'buffer' })) {
      const own = entry.name.toString('utf8')
      this.#take(entry, isUtf8(entry.name), { name: `${name}/${own}`, path: join(folder, own), found: true })
    }
  }

  #take(entry: Dirent<Buffer>, nameIsUtf8: boolean, file: InputFile): void {
    const ending = extname(file.path).toLowerCase()
    const wanted = this.#wanted.has(ending)
    const pass = (reason: string, expected = wanted): void =>
      void this.passedOver.push({ name: file.name, reason, wanted: expected })
    if (!nameIsUtf8) return pass('name not UTF-8', wanted || entry.isDirectory())
    if (basename(file.path).startsWith('.')) return pass(entry.isDirectory() ? 'hidden folder' : 'hidden')
    if (entry.isDirectory()) {
      try {
        return this.enter(file.path, file.name)
      } catch {
        return pass('unreadable folder', true)
      }
    }
    // Links could lead in circles or out of the folder.
    if (entry.isSymbolicLink()) return pass('symbolic link', false)
    if (!wanted) return pass(ending === '' ? 'no ending' : ending)
    if (!entry.isFile()) return pass('no regular file')
    this.files.push(file)
  }
}

/** Counts of reasons, most frequent first: '.jsonl 3, hidden 1'. */
export function countsOf(passedOver: readonly PassedOver[]): string {
  const counts = new Map<string, number>()
  for (const { reason } of passedOver) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  const sorted = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
  return sorted.map(([reason, n]) => `${reason} ${n.toLocaleString('en-US')}`).join(', ')
}

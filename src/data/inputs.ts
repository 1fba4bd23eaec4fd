/** Finds the text files to prepare: files as they are named, folders with everything below them, in an order that any machine repeats. */
import { readdirSync, statSync } from 'node:fs'
import { basename, extname, join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'

export interface InputFile {
  /** Name in the manifest: the file's own, or that of the folder given and the path below it, with `/`. */
  name: string
  path: string
}

export const DEFAULT_EXTENSIONS: readonly string[] = ['.txt', '.md', '.text']

/**
 * Lists inputs in the order given; inside a folder by the bytes of the path. In folders only the given extensions count, and symbolic
 * links are passed over (no circles, nothing outside the folder).
 */
export function listInputs(paths: readonly string[], extensions: readonly string[] = DEFAULT_EXTENSIONS): InputFile[] {
  const wanted = new Set(extensions.map(e => e.toLowerCase()))
  const files = paths.flatMap((path): InputFile[] => {
    const name = basename(resolve(path))
    try {
      if (!statSync(path).isDirectory()) return [{ name, path }]
      return walk(path, name, wanted).sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
    } catch (e) {
      throw fileError(e, path, 'read', 'a text to prepare')
    }
  })
  if (files.length === 0) {
    throw new VeritError('VERIT_DATA_EMPTY', { what: `no file ends in ${extensions.join(', ')}`, hint: 'Name the files, or pass --extensions' })
  }
  return files
}

function walk(folder: string, name: string, wanted: ReadonlySet<string>): InputFile[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry): InputFile[] => {
    const inner = { name: `${name}/${entry.name}`, path: join(folder, entry.name) }
    if (entry.isDirectory()) return walk(inner.path, inner.name, wanted)
    return entry.isFile() && wanted.has(extname(entry.name).toLowerCase()) ? [inner] : []
  })
}

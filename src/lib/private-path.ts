/**
 * Whether a folder, or a file that SQLite opens by path, belongs to this user alone. Every other file is checked on its
 * descriptor (trusted-file.ts); SQLite offers none, and closing a second one would drop its locks. Nobody else can race
 * inside a checked folder.
 */
import { lstatSync } from 'node:fs'
import { VeritError } from './errors.ts'
import { fileError } from './file-error.ts'
import { notRegular, objectionTo } from './trusted-file.ts'

/**
 * Throws unless `path` is a folder or regular file, not a link, that belongs to this user and that no one else can read
 * or write. Windows has no such bits: there the administrator must set the folder's access list.
 * @throws VeritError VERIT_STATE, VERIT_FILE_NOT_FOUND, VERIT_FILE_IO
 */
export function checkPrivate(path: string, kind: 'folder' | 'file'): void {
  let s
  try {
    s = lstatSync(path)
  } catch (e) {
    throw fileError(e, path, 'read', 'the state of the server')
  }
  if (kind === 'file' && !s.isFile()) throw notRegular(path)
  if (kind === 'folder' && !s.isDirectory()) {
    const fix = 'Move it away, or choose another folder with --state'
    throw new VeritError('VERIT_STATE', { path, problem: 'it is not a folder', fix })
  }
  if (process.platform === 'win32') return
  const objection = objectionTo('state', { path, mode: s.mode, uid: s.uid, user: process.geteuid!() }, kind)
  if (objection !== undefined) throw objection.error
}

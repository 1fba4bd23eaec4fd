/** Whether a file or folder belongs to this user alone: what keys, secrets and logs must be before they are read or written. */
import { lstatSync } from 'node:fs'
import { VeritError } from './errors.ts'
import { fileError } from './file-error.ts'

const POSIX = process.platform !== 'win32'

/**
 * Throws unless `path` is a folder or regular file, not a link, that belongs to this user and that no one else can read or write.
 * Windows has no such bits: there the folder's access list must be set by the administrator.
 */
export function checkPrivate(path: string, kind: 'folder' | 'file'): void {
  let s
  try {
    s = lstatSync(path)
  } catch (e) {
    throw fileError(e, path, 'read', 'the state of the server')
  }
  const refuse = (problem: string, fix: string): never => {
    throw new VeritError('VERIT_STATE', { path, problem, fix })
  }
  if (kind === 'folder' ? !s.isDirectory() : !s.isFile()) {
    refuse(`it is not a ${kind === 'folder' ? 'folder' : 'regular file'}`, 'Move it away, or choose another folder with --state')
  }
  if (!POSIX) return
  if (s.uid !== process.geteuid!()) refuse('it belongs to another user', 'Run as its owner, or choose another folder with --state')
  if ((s.mode & 0o077) !== 0) {
    refuse(`others can use it (mode ${(s.mode & 0o777).toString(8)})`,
      `If nobody else has used it, run chmod ${kind === 'folder' ? '700' : '600'} on it; otherwise start with a new folder and new keys`)
  }
}

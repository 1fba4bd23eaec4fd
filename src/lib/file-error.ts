/** Turns errors of the file system (ENOENT, EACCES, ENOSPC ...) into errors of the table. */
import { VeritError } from './errors.ts'

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  ENOSPC: 'no space left on the disk',
  EROFS: 'the file system is read-only',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is not a folder',
  EMFILE: 'too many open files',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'too many symbolic links',
  EFBIG: 'the file would be too large',
  EDQUOT: 'the disk quota is used up',
  EIO: 'the disk reports an error',
  ENXIO: 'it is not a regular file',
  EBADF: 'it is not open'
}

const WRITING = new Set([
  'mkdir',
  'rmdir',
  'rename',
  'unlink',
  'link',
  'symlink',
  'write',
  'ftruncate',
  'chmod',
  'chown',
  'copyfile'
])

/** An untranslated error of the file system, by its path; others unchanged. */
export function unnamedFileError(e: unknown): unknown {
  if (!(e instanceof Error && 'syscall' in e && 'path' in e && typeof e.path === 'string')) return e
  return fileError(e, e.path, WRITING.has(String(e.syscall)) ? 'write' : 'read')
}

/**
 * `action` completes "Could not ... PATH"; `purpose` describes the path, in case it does not exist. Other errors are
 * returned unchanged.
 */
export function fileError(
  e: unknown,
  path: string,
  action: 'read' | 'write',
  purpose = `needed to ${action}`
): unknown {
  const code = e instanceof Error && 'code' in e ? String(e.code) : ''
  if (code === 'ENOENT') return new VeritError('VERIT_FILE_NOT_FOUND', { path, purpose }, e)
  if (!/^E[A-Z0-9]+$/.test(code)) return e
  return new VeritError('VERIT_FILE_IO', { path, action, reason: REASONS[code] ?? code }, e)
}

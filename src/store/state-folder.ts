/**
 * The folder of what a server must remember: keys and its secret. Only its owner may enter it (0700) or read its files (0600); a folder or file
 * that others could read is refused, not repaired, for nobody can say who has read it.
 */
import { chmodSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { checkPrivate } from '../lib/private-path.ts'

export { checkPrivate }

const POSIX = process.platform !== 'win32'

/** `$XDG_STATE_HOME/verit`, or `~/.local/state/verit` where that is unset or relative, as the XDG Base Directory Specification has it. */
export function defaultStateFolder(): string {
  const base = process.env['XDG_STATE_HOME']
  return base !== undefined && isAbsolute(base) ? join(base, 'verit') : join(homedir(), '.local', 'state', 'verit')
}

/** Makes the folder where there is none and checks it; gives its absolute path. @throws VeritError VERIT_STATE, VERIT_FILE_IO */
export function openStateFolder(path: string): string {
  if (path === '') throw new VeritError('VERIT_STATE', { path: '""', problem: 'its path is empty', fix: 'Name a folder with --state' })
  const folder = resolve(path)
  try {
    if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined && POSIX) chmodSync(folder, 0o700)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(e, folder, 'write')
  }
  checkPrivate(folder, 'folder')
  return folder
}

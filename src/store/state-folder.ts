/**
 * The state folder: keys and the server's secret. Only its owner may enter it (0700) or read its files (0600); a folder
 * or file that others could read is refused, not repaired, because nobody knows who has read it.
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { stateBase } from '../lib/home-folder.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { checkPrivate } from '../lib/private-path.ts'

export { checkPrivate }

/**
 * `$XDG_STATE_HOME/verit` or `~/.local/state/verit`. Empty for a user without a home: `namedFolder` then asks for a
 * name.
 */
export function defaultStateFolder(): string {
  const base = stateBase()
  return base === undefined ? '' : join(base, 'verit')
}

/**
 * The absolute path of a state folder. @throws VeritError VERIT_STATE for an empty one, which would mean the current
 * folder
 */
export function namedFolder(path: string): string {
  if (path !== '') return resolve(path)
  const fix = 'Name a folder with --state, or set HOME or XDG_STATE_HOME to an absolute path'
  throw new VeritError('VERIT_STATE', { path: '""', problem: 'its path is empty', fix })
}

/**
 * Creates the folder if missing and checks it; returns its absolute path. @throws VeritError VERIT_STATE, VERIT_FILE_IO
 */
export function openStateFolder(path: string): string {
  const folder = namedFolder(path)
  if (!existsSync(folder)) makeFolder(folder, { ownerOnly: true })
  checkPrivate(folder, 'folder')
  return folder
}

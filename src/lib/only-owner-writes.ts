/** Whether a file can be changed by others than its owner: models and keys that can are refused before they are used. */
import { fstatSync } from 'node:fs'
import { VeritError } from './errors.ts'

/**
 * Throws when the group or everybody may write to the open file. Windows has no such bits: there nothing is checked. `path` is for the error.
 * @throws VeritError VERIT_OTHERS_WRITE
 */
export function checkOnlyOwnerWrites(fd: number, path: string): void {
  const { mode } = fstatSync(fd)
  if (process.platform !== 'win32' && (mode & 0o022) !== 0) throw new VeritError('VERIT_OTHERS_WRITE', { path, mode: (mode & 0o777).toString(8) })
}

/**
 * Whether a file can be changed by others than root, the user who runs this, and the one whom Verit's own code belongs to (who can do anything already: a package
 * that one user installed and another runs keeps its default model): models and keys that can are refused before they are used.
 */
import { fstatSync, statSync } from 'node:fs'
import { VeritError } from './errors.ts'

const codeOwner = statSync(import.meta.filename).uid

/**
 * Throws when the open file belongs to a user who is none of these, or when the group or everybody may write to it. Windows has no such owners and
 * bits: there nothing is checked. `path` is for the error.
 * @throws VeritError VERIT_OTHERS_OWN, VERIT_OTHERS_WRITE
 */
export function checkOnlyOwnerWrites(fd: number, path: string): void {
  if (process.platform === 'win32') return
  const { mode, uid } = fstatSync(fd), user = process.geteuid!()
  if (uid !== 0 && uid !== user && uid !== codeOwner) throw new VeritError('VERIT_OTHERS_OWN', { path, owner: uid, user })
  if ((mode & 0o022) !== 0) throw new VeritError('VERIT_OTHERS_WRITE', { path, mode: (mode & 0o777).toString(8) })
}

/** Whether a log continues a checkpoint that is remembered elsewhere: in the server's database. */
import { VeritError } from '../lib/errors.ts'
import type { Checkpoint } from '../trust/checkpoint.ts'

/** Name of such a checkpoint in errors and reports. */
export const IN_DATABASE = 'The checkpoint in the database'

/**
 * @param known a checkpoint with a verified signature. @param size entries of the log
 * @param rootAt root over the first n entries, n at most `size`
 * @throws VeritError VERIT_AUDIT_ROLLBACK
 */
export function checkContinues(
  folder: string,
  known: Checkpoint,
  size: number,
  rootAt: (size: number) => Uint8Array
): void {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_AUDIT_ROLLBACK', { folder, problem })
  }
  if (known.size > size) {
    refuse(`it has ${size} entries, and the database has its signed checkpoint of ${known.size}: it was set back`)
  }
  if (!known.root.equals(rootAt(known.size))) {
    refuse(`its first ${known.size} entries are others than those of the signed checkpoint in the database`)
  }
}

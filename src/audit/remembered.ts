/** A log against the checkpoint that the server's database remembers of it, without repairing anything. */
import { VeritError } from '../lib/errors.ts'
import { openCheckpoint } from '../trust/checkpoint.ts'
import { rootOf } from '../trust/merkle.ts'
import type { VerifierKey } from '../trust/note-key.ts'
import { IN_DATABASE, checkContinues } from './continues.ts'
import { NodeReader, readCheckpoint } from './reader.ts'
import { recover } from './recover.ts'

/**
 * @throws VeritError VERIT_AUDIT_ROLLBACK, VERIT_AUDIT_DAMAGED; VERIT_NOTE_UNSIGNED where the checkpoint is another
 * log's
 */
export function checkRemembered(folder: string, key: VerifierKey, known: string): void {
  if (isAhead(folder, key, known)) return void recover(folder, key, known, false)
  const { size } = readCheckpoint(folder).checkpoint
  const nodes = new NodeReader(folder, size)
  checkContinues(folder, openCheckpoint(known, key, IN_DATABASE).checkpoint, size, n => rootOf(n, nodes.node))
}

/**
 * Whether the checkpoint covers more than the log's own does, and the entries are there all the same. A power cut can
 * leave it so, until the next start covers them.
 */
export function isUncovered(folder: string, key: VerifierKey, known: string): boolean {
  try {
    if (!isAhead(folder, key, known)) return false
    recover(folder, key, known, false)
    return true
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return false
  }
}

const isAhead = (folder: string, key: VerifierKey, known: string): boolean =>
  openCheckpoint(known, key, IN_DATABASE).checkpoint.size > readCheckpoint(folder).checkpoint.size

/**
 * A witness (C2SP tlog-cosignature): cosigns a checkpoint only if it continues the last one it has seen, which it keeps
 * in a file. A log that shows different histories to different people cannot get cosignatures for both.
 */
import { existsSync } from 'node:fs'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { openCheckpoint } from '../trust/checkpoint.ts'
import type { OpenedCheckpoint } from '../trust/checkpoint.ts'
import { emptyRoot } from '../trust/merkle.ts'
import { verifyConsistency } from '../trust/merkle-verify.ts'
import type { SignerKey, VerifierKey } from '../trust/note-key.ts'
import { NOTE_LIMIT, formatNote, parseNote, signNote, verifyNote } from '../trust/signed-note.ts'
import type { NoteSignature } from '../trust/signed-note.ts'
import { parseProof } from '../trust/tlog-proof.ts'
import { checkpointPath, cosignedPath, readNoteFile } from './log-files.ts'

export interface WitnessRequest {
  /** The checkpoint to cosign. */
  note: string
  source: string
  log: VerifierKey
  witness: SignerKey
  /** File of the last checkpoint this witness has cosigned for this log; made at the first. */
  lastFile: string
  /**
   * Proof (a file of proofs.ts) that the new tree begins with the last one. Not needed for the first, or for the same
   * size.
   */
  proof?: string
  /** Seconds since 1970. Default now. */
  time?: number
}

/**
 * Verifies a checkpoint, stores and signs it: returns it with the log's signature and the witness's cosignature.
 * @throws VeritError VERIT_WITNESS when it does not continue the last one (rollback, fork, no proof), or what
 *   `openCheckpoint` throws
 */
export function cosign(request: WitnessRequest): string {
  const { note, source, log, witness, lastFile } = request
  const opened = openCheckpoint(note, log, source)
  const last = existsSync(lastFile) ? openCheckpoint(readLast(lastFile), log, lastFile) : undefined
  if (last !== undefined) checkContinues(last, opened, request)
  const logLine = opened.note.signatures.filter(s => s.name === log.name && s.id === log.id).slice(0, 1)
  // Remembered before it is signed: a crash in between costs a signature, never two that contradict each other.
  writeFileAtomic(lastFile, formatNote({ text: opened.note.text, signatures: logLine }), { mode: 0o600 })
  const line = signNote(opened.note.text, witness, request.time)
  return formatNote({ text: opened.note.text, signatures: [...logLine, line] })
}

/** The last cosigned checkpoint decides what the witness may cosign. */
const readLast = (path: string): Buffer =>
  readTrusted(path, { kind: 'decides', purpose: 'the last checkpoint cosigned', limit: NOTE_LIMIT })

function checkContinues(last: OpenedCheckpoint, next: OpenedCheckpoint, { proof, source }: WitnessRequest): void {
  const [a, b] = [last.checkpoint, next.checkpoint]
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_WITNESS', { source, problem })
  }
  if (b.size < a.size)
    refuse(`it covers ${b.size} entries, and one of ${a.size} was cosigned before: the log was set back`)
  if (b.size === a.size) {
    if (!a.root.equals(b.root))
      refuse(
        `it has another root for ${a.size} entries than the one cosigned before: the log shows different histories`
      )
    return
  }
  if (a.size === 0 && a.root.equals(emptyRoot)) return
  if (proof === undefined)
    refuse(`it covers ${b.size} entries, and there is no proof that it continues the ${a.size} cosigned before`)
  const file = parseProof(proof!, 'The proof of consistency')
  if (file.kind !== 'consistency' || file.oldSize !== a.size)
    refuse(`the proof is not one of consistency with ${a.size} entries`)
  else if (!verifyConsistency(a.size, b.size, a.root, b.root, file.proof))
    refuse(`the proof is invalid: the log does not continue the ${a.size} entries cosigned before`)
}

/**
 * Adds the cosignatures of a note to the log's newest cosigned checkpoint, the file `cosigned`. The writer's
 * `checkpoint` is never touched: only the writer may replace it.
 * @returns the stored note
 * @throws VeritError VERIT_WITNESS when it is older than the one stored, or bears no cosignature; VERIT_NOTE_UNSIGNED
 *   when the log has not signed it
 */
export function addCosignature(
  folder: string,
  log: VerifierKey,
  note: string,
  source: string,
  witnesses: readonly VerifierKey[] = []
): string {
  const opened = openCheckpoint(note, log, source, witnesses)
  const current = openCheckpoint(readNoteFile(checkpointPath(folder)) ?? '', log, checkpointPath(folder))
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_WITNESS', { source, problem })
  }
  if (opened.checkpoint.size > current.checkpoint.size)
    refuse(`it covers ${opened.checkpoint.size} entries, more than the log has`)
  const stored = existsSync(cosignedPath(folder))
    ? parseNote(readNoteFile(cosignedPath(folder)) ?? '', cosignedPath(folder))
    : undefined
  const before =
    stored === undefined ? undefined : openCheckpoint(formatNote(stored), log, cosignedPath(folder)).checkpoint
  if (before !== undefined && opened.checkpoint.size < before.size)
    refuse(`it covers ${opened.checkpoint.size} entries, and the cosigned one stored covers ${before.size}`)
  const isLog = (s: NoteSignature): boolean => s.name === log.name && s.id === log.id
  const lines = [...(stored?.text === opened.note.text ? stored.signatures : []), ...opened.note.signatures]
  const unique = lines.filter((s, i) => lines.findIndex(t => t.name === s.name && t.id === s.id) === i)
  if (unique.every(isLog)) refuse('it bears no cosignature')
  const merged = { text: opened.note.text, signatures: [...unique.filter(isLog), ...unique.filter(s => !isLog(s))] }
  verifyNote(merged, [log, ...witnesses], source)
  const text = formatNote(merged)
  writeFileAtomic(cosignedPath(folder), text, { mode: 0o600 })
  return text
}

/**
 * Checkpoints of a log (C2SP tlog-checkpoint): a signed note whose text is the log's origin, the size of its tree in
 * decimal, the base64 of its root, and possibly more lines.
 */
import { VeritError } from '../lib/errors.ts'
import { strictBase64 } from '../lib/strict-base64.ts'
import { HASH_BYTES } from './merkle.ts'
import { isKeyName } from './note-key.ts'
import type { VerifierKey } from './note-key.ts'
import { parseNote, verifyNote } from './signed-note.ts'
import type { Note, VerifiedSignature } from './signed-note.ts'

export interface Checkpoint {
  readonly origin: string
  /** Leaves, 0 to 2^53 - 1. */
  readonly size: number
  readonly root: Buffer
}

/** The text to sign. */
export function checkpointText(origin: string, size: number, root: Uint8Array): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`
}

/** Reads an integer from 0 to 2^53 - 1 in its one decimal form, or undefined. */
export function strictInteger(text: string): number | undefined {
  const n = /^(0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : -1
  return Number.isSafeInteger(n) && n >= 0 ? n : undefined
}

/** Reads the text of a note as a checkpoint. @throws VeritError VERIT_NOTE */
export function parseCheckpoint(text: string, source: string): Checkpoint {
  const refuse = (problem: string): VeritError => new VeritError('VERIT_NOTE', { source, problem })
  const lines = text.slice(0, -1).split('\n')
  if (!text.endsWith('\n') || lines.length < 3 || lines.some(l => l === ''))
    throw refuse('a checkpoint is three lines or more, none empty: origin, size, root')
  const size = strictInteger(lines[1]!)
  if (size === undefined) throw refuse('its second line is not a size')
  const root = strictBase64(lines[2]!)
  if (root?.length !== HASH_BYTES) throw refuse('its third line is not the base64 of a SHA-256 hash')
  if (!isKeyName(lines[0]!)) throw refuse('its first line is not a name without spaces and plus')
  return { origin: lines[0]!, size, root }
}

export interface OpenedCheckpoint {
  readonly note: Note
  readonly checkpoint: Checkpoint
  readonly signatures: readonly VerifiedSignature[]
}

/**
 * Reads a checkpoint signed by `log`, with the cosignatures of known witnesses.
 * @throws VeritError VERIT_NOTE (form, or another log), VERIT_NOTE_UNSIGNED (not signed by `log`), VERIT_NOTE_SIGNATURE
 *   (an invalid signature)
 */
export function openCheckpoint(
  data: Uint8Array | string,
  log: VerifierKey,
  source: string,
  witnesses: readonly VerifierKey[] = []
): OpenedCheckpoint {
  const note = parseNote(data, source)
  const checkpoint = parseCheckpoint(note.text, source)
  const signatures = verifyNote(note, [log, ...witnesses], source)
  if (!signatures.some(s => s.key === log)) throw new VeritError('VERIT_NOTE_UNSIGNED', { source, key: log.text })
  if (checkpoint.origin !== log.name)
    throw new VeritError('VERIT_NOTE', { source, problem: `it is of the log ${checkpoint.origin}, not ${log.name}` })
  return { note, checkpoint, signatures: signatures.filter(s => s.key !== log) }
}

/**
 * Signed notes (C2SP signed-note): a text that ends in a line feed, an empty line, then one line a signature: an em
 * dash, the name of the key, and the base64 of four bytes of key id and the signature. Cosignatures of witnesses (C2SP
 * tlog-cosignature, Ed25519) carry the time and sign `cosignature/v1`, `time T` and the text.
 */
import { sign, verify } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import { utf8FirstInvalid } from '../lib/utf8.ts'
import { strictBase64 } from '../lib/strict-base64.ts'
import { NOTE_COSIGNATURE, isKeyName } from './note-key.ts'
import type { SignerKey, VerifierKey } from './note-key.ts'

/** One signature line. */
export interface NoteSignature {
  readonly name: string
  /** Key id, 8 hexadecimal digits. */
  readonly id: string
  /** The bytes after the key id. */
  readonly signature: Buffer
}

export interface Note {
  /** With its last line feed. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** A signature that holds. */
export interface VerifiedSignature {
  readonly key: VerifierKey
  /** Seconds since 1970, of a cosignature. */
  readonly time: number | undefined
}

/** Maximum length of a note in bytes, and maximum number of its signatures. */
export const NOTE_LIMIT = 1 << 20
const SIGNATURES = 100

/** Reads a note, checking its form but no signature. @throws VeritError VERIT_NOTE naming `source` */
export function parseNote(data: Uint8Array | string, source: string): Note {
  const refuse = (problem: string): VeritError => new VeritError('VERIT_NOTE', { source, problem })
  const bytes =
    typeof data === 'string' ? Buffer.from(data, 'utf8') : Buffer.from(data.buffer, data.byteOffset, data.length)
  if (bytes.length > NOTE_LIMIT) throw refuse(`it has ${bytes.length} bytes, and notes have at most ${NOTE_LIMIT}`)
  const bad = utf8FirstInvalid(bytes)
  if (bad >= 0) throw refuse(`it is not UTF-8 at byte ${bad}`)
  const all = bytes.toString('utf8')
  // eslint-disable-next-line no-control-regex -- the pattern looks for control characters
  if (/[\x00-\x09\x0b-\x1f]/.test(all)) throw refuse('it holds control characters')
  const split = all.lastIndexOf('\n\n')
  if (split < 0 || !all.endsWith('\n')) throw refuse('it is not a text, an empty line and signature lines')
  const lines = all.slice(split + 2, -1).split('\n')
  if (split + 2 >= all.length) throw refuse('it has no signature lines')
  if (lines.length > SIGNATURES) throw refuse(`it has more than ${SIGNATURES} signatures`)
  return { text: all.slice(0, split + 1), signatures: lines.map(line => parseLine(line, refuse)) }
}

function parseLine(line: string, refuse: (problem: string) => VeritError): NoteSignature {
  const match = /^— (\S+) ([A-Za-z0-9+/]+=*)$/u.exec(line)
  const bytes = strictBase64(match?.[2] ?? '')
  if (match === null || bytes === undefined || bytes.length < 5 || !isKeyName(match[1]!))
    throw refuse('a signature line is malformed')
  return { name: match[1]!, id: bytes.toString('hex', 0, 4), signature: bytes.subarray(4) }
}

/** Writes a note; the bytes that `parseNote` reads. */
export function formatNote(note: Note): string {
  const line = (s: NoteSignature): string =>
    `— ${s.name} ${Buffer.concat([Buffer.from(s.id, 'hex'), s.signature]).toString('base64')}\n`
  return `${note.text}\n${note.signatures.map(line).join('')}`
}

function cosigned(text: string, time: bigint): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${time}\n${text}`, 'utf8')
}

/**
 * Signs a text. With a key of type cosignature, `time` (seconds since 1970, default now) is signed, too.
 */
export function signNote(text: string, signer: SignerKey, time = Math.floor(Date.now() / 1000)): NoteSignature {
  const { name, id, type } = signer.verifier
  if (type !== NOTE_COSIGNATURE) return { name, id, signature: sign(null, Buffer.from(text, 'utf8'), signer.key) }
  const stamp = Buffer.alloc(8)
  stamp.writeBigUInt64BE(BigInt(time))
  return { name, id, signature: Buffer.concat([stamp, sign(null, cosigned(text, BigInt(time)), signer.key)]) }
}

/** Verifies one signature line with its key. Undefined if it is not valid. */
function check(text: string, line: NoteSignature, key: VerifierKey): VerifiedSignature | undefined {
  if (key.type !== NOTE_COSIGNATURE) {
    return line.signature.length === 64 && verify(null, Buffer.from(text, 'utf8'), key.key, line.signature)
      ? { key, time: undefined }
      : undefined
  }
  if (line.signature.length !== 72) return undefined
  const time = line.signature.readBigUInt64BE(0)
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) return undefined
  return verify(null, cosigned(text, time), key.key, line.signature.subarray(8))
    ? { key, time: Number(time) }
    : undefined
}

/**
 * The signatures of a note by known keys, in the order of the note; lines of other keys are skipped.
 * @throws VeritError VERIT_NOTE_SIGNATURE if a line with the name and id of a known key is not valid
 */
export function verifyNote(note: Note, keys: readonly VerifierKey[], source: string): VerifiedSignature[] {
  const found: VerifiedSignature[] = []
  for (const line of note.signatures) {
    const key = keys.find(k => k.name === line.name && k.id === line.id)
    if (key === undefined) continue
    const verified = check(note.text, line, key)
    if (verified === undefined) throw new VeritError('VERIT_NOTE_SIGNATURE', { source, key: `${key.name}+${key.id}` })
    if (!found.some(f => f.key === key)) found.push(verified)
  }
  return found
}

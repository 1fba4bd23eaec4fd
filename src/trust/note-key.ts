/**
 * Keys that sign notes (C2SP signed-note): a verifier key is `name+hash+base64(type, 32 bytes)`, with hash the first
 * four bytes of SHA-256(name LF type key) in hexadecimal. Type 0x01 is Ed25519 over the text of the note, type 0x04 a
 * witness's timestamped cosignature (C2SP tlog-cosignature). A private key is `PRIVATE+KEY+name+hash+base64(type,
 * 32-byte seed)`, as the note tools of Go have it.
 */
import { createPrivateKey, generateKeyPairSync, hash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { VeritError, invariant } from '../lib/errors.ts'
import { strictBase64 } from '../lib/strict-base64.ts'
import { ed25519FromSpki, ed25519FromText, ed25519ToSpki } from './ed25519.ts'

export const NOTE_ED25519 = 1
export const NOTE_COSIGNATURE = 4
export type NoteKeyType = typeof NOTE_ED25519 | typeof NOTE_COSIGNATURE

export interface VerifierKey {
  readonly name: string
  /** Four bytes, as 8 hexadecimal digits. */
  readonly id: string
  readonly type: NoteKeyType
  readonly key: KeyObject
  /** `name+hash+base64`. */
  readonly text: string
}

export interface SignerKey {
  readonly verifier: VerifierKey
  readonly key: KeyObject
}

/** Everything of a private key in PKCS#8 (RFC 8410) before its 32-byte seed. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * Whether a name is allowed in a signature line: not empty, no spaces, no plus, no control characters, at most 200
 * characters.
 */
export function isKeyName(name: string): boolean {
  return name.length > 0 && name.length <= 200 && name.isWellFormed() && !/[\s\u0085+\p{Cc}]/u.test(name)
}

/** The verifier key of an Ed25519 public (or private) key under a name. */
export function verifierKey(name: string, key: KeyObject, type: NoteKeyType = NOTE_ED25519): VerifierKey {
  invariant(isKeyName(name), 'a key has a name without spaces and plus')
  const spki = ed25519ToSpki(key)
  const bytes = Buffer.concat([Buffer.of(type), spki.subarray(-32)])
  const id = hash('sha256', Buffer.concat([Buffer.from(`${name}\n`, 'utf8'), bytes]), 'buffer').toString('hex', 0, 4)
  return { name, id, type, key: ed25519FromSpki(spki), text: `${name}+${id}+${bytes.toString('base64')}` }
}

function parts(text: string, source: string): { name: string; id: string; type: NoteKeyType; bytes: Buffer } {
  const refuse = (problem: string): VeritError => new VeritError('VERIT_NOTE', { source, problem })
  const match = /^([^+]*)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text)
  const bytes = strictBase64(match?.[3] ?? '')
  if (match === null || bytes === undefined || !isKeyName(match[1]!))
    throw refuse('it is not a key of the form name+hash+base64')
  const type = bytes[0]
  if (type !== NOTE_ED25519 && type !== NOTE_COSIGNATURE)
    throw refuse(`its type is ${type}, and only 1 (Ed25519) and 4 (cosignature) are known`)
  if (bytes.length !== 33) throw refuse(`it has ${bytes.length - 1} bytes of key, not 32`)
  return { name: match[1]!, id: match[2]!, type, bytes: bytes.subarray(1) }
}

/** Reads a verifier key. @throws VeritError VERIT_NOTE (form, type, hash), VERIT_PUBLIC_KEY (weak key) */
export function parseVerifierKey(text: string, source = 'the verifier key'): VerifierKey {
  const { name, id, type, bytes } = parts(text, source)
  const key = verifierKey(name, ed25519FromSpki(ed25519FromText(bytes.toString('base64'))), type)
  if (key.id !== id)
    throw new VeritError('VERIT_NOTE', { source, problem: 'its hash does not belong to its name and key' })
  return key
}

/** A new key pair for signing notes under a name. */
export function newSignerKey(name: string, type: NoteKeyType): SignerKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  return { verifier: verifierKey(name, privateKey, type), key: privateKey }
}

/** Writes a private key as one line, without line end. */
export function formatSignerKey(signer: SignerKey): string {
  const seed = signer.key.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length)
  const { name, id, type } = signer.verifier
  return `PRIVATE+KEY+${name}+${id}+${Buffer.concat([Buffer.of(type), seed]).toString('base64')}`
}

/** Reads a private key. @throws VeritError VERIT_NOTE */
export function parseSignerKey(text: string, source: string): SignerKey {
  const body = /^PRIVATE\+KEY\+(.*)$/s.exec(text)?.[1]
  if (body === undefined) throw new VeritError('VERIT_NOTE', { source, problem: 'it does not begin with PRIVATE+KEY+' })
  const { name, id, type, bytes } = parts(body, source)
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, bytes]), format: 'der', type: 'pkcs8' })
  const verifier = verifierKey(name, key, type)
  if (verifier.id !== id)
    throw new VeritError('VERIT_NOTE', { source, problem: 'its hash does not belong to its name and key' })
  return { verifier, key }
}

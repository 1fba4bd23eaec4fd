/**
 * Ed25519 public keys as bytes: DER SubjectPublicKeyInfo (RFC 8410), which has one form only, 44 bytes. Anything else,
 * another type of key included, is refused, so that a key has one fingerprint. Weak keys (points of small order), under
 * which one signature can fit many messages, are refused too.
 */
import { createHash, createPublicKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import { strictBase64 } from '../lib/strict-base64.ts'

/** Everything before the 32 bytes of the key: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }. */
const prefix = Buffer.from('302a300506032b6570032100', 'hex')
const P = (1n << 255n) - 19n

/**
 * The y coordinates of the eight points of small order: 0, 1, -1 and two of order 8; also with p added, where that
 * fits.
 */
const weak = new Set([
  0n,
  1n,
  P - 1n,
  P,
  P + 1n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n
])

function badKey(problem: string): VeritError {
  return new VeritError('VERIT_PUBLIC_KEY', { problem })
}

function checkBytes(spki: Uint8Array): void {
  if (spki.length !== 44 || !prefix.equals(spki.subarray(0, 12)))
    throw badKey('it is not an Ed25519 public key (DER SPKI of 44 bytes)')
  const y = BigInt(`0x${Buffer.from(spki.subarray(12)).reverse().toString('hex')}`) & ((1n << 255n) - 1n)
  if (weak.has(y)) throw badKey('it is a point of small order, which proves nothing')
}

/**
 * @throws VeritError VERIT_PUBLIC_KEY when these are not exactly the 44 bytes of an Ed25519 public key, or it is a weak
 * one
 */
export function ed25519FromSpki(spki: Uint8Array): KeyObject {
  checkBytes(spki)
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch (e) {
    throw new VeritError('VERIT_PUBLIC_KEY', { problem: 'its bytes are not a key' }, e)
  }
}

/** @throws VeritError VERIT_PUBLIC_KEY when the key is not Ed25519 */
export function ed25519ToSpki(key: KeyObject): Buffer {
  if (key.asymmetricKeyType !== 'ed25519') throw badKey(`it is ${key.asymmetricKeyType ?? 'a secret'}, not Ed25519`)
  const spki = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' })
  checkBytes(spki)
  return spki
}

/**
 * Reads a public key as people hand it over: PEM (`BEGIN PUBLIC KEY`), or the base64 of the DER or of the 32 bytes
 * alone. Gives DER SPKI.
 */
export function ed25519FromText(text: string): Buffer {
  const body = /^\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----\s*$/.exec(text)?.[1] ?? text
  const base64 = body.replace(/\s+/g, '')
  const bytes = strictBase64(base64)
  if (bytes === undefined) throw badKey('it is neither PEM (BEGIN PUBLIC KEY) nor base64')
  const spki = bytes.length === 32 ? Buffer.concat([prefix, bytes]) : bytes
  checkBytes(spki)
  return spki
}

/** SHA-256 (hexadecimal) of a public key in DER SPKI. */
export function fingerprint(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex')
}

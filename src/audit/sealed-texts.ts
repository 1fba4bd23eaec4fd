/**
 * Texts that only the holder of a private key can read: one JSON line each in `texts/2026-11-22`. The key of a line is
 * HKDF-SHA-256 of an X25519 secret shared between a fresh key pair and the reader's public key; AES-256-GCM binds it to
 * the log's origin and the entry's index.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { RequestTexts } from './entry.ts'

const INFO = 'verit audit texts v1'
const TAG = 16

/** One line of a texts file. Bytes are in base64. */
export interface SealedLine {
  index: number
  /** Request id of the entry. */
  request: string
  /** The fresh public key, DER SPKI. */
  key: string
  /** Ciphertext of the JSON of the texts, and the tag. */
  sealed: string
}

/**
 * Key (32 bytes) and nonce (12) of one line; the salt names both public keys and the info the entry, so that no two
 * lines share them.
 */
function secrets(own: KeyObject, other: KeyObject, salt: Uint8Array, aad: string): { key: Buffer; nonce: Buffer } {
  const shared = diffieHellman({ privateKey: own, publicKey: other })
  const bytes = Buffer.from(hkdfSync('sha256', shared, salt, `${INFO}\n${aad}`, 44))
  return { key: bytes.subarray(0, 32), nonce: bytes.subarray(32) }
}

const spki = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })
const aadOf = (origin: string, index: number): string => `${origin}\n${index}`

/** Seals texts to a public key (X25519). */
export function sealTexts(
  texts: RequestTexts,
  reader: KeyObject,
  origin: string,
  index: number,
  request: string
): SealedLine {
  const fresh = generateKeyPairSync('x25519')
  const aad = aadOf(origin, index)
  const { key, nonce } = secrets(fresh.privateKey, reader, Buffer.concat([spki(fresh.publicKey), spki(reader)]), aad)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(Buffer.from(aad, 'utf8'))
  const plain = JSON.stringify({ prompt: texts.prompt, answer: texts.answer })
  const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return { index, request, key: spki(fresh.publicKey).toString('base64'), sealed: sealed.toString('base64') }
}

/**
 * Decrypts a line with the private key. Undefined if it was sealed to another key or for another entry, or was changed.
 */
export function openTexts(line: SealedLine, reader: KeyObject, origin: string): RequestTexts | undefined {
  try {
    const fresh = createPublicKey({ key: Buffer.from(line.key, 'base64'), format: 'der', type: 'spki' })
    const aad = aadOf(origin, line.index)
    const { key, nonce } = secrets(reader, fresh, Buffer.concat([spki(fresh), spki(createPublicKey(reader))]), aad)
    const sealed = Buffer.from(line.sealed, 'base64')
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG })
    decipher.setAAD(Buffer.from(aad, 'utf8'))
    decipher.setAuthTag(sealed.subarray(-TAG))
    const plain = Buffer.concat([decipher.update(sealed.subarray(0, -TAG)), decipher.final()]).toString('utf8')
    const { prompt, answer } = JSON.parse(plain) as { prompt?: unknown; answer?: unknown }
    return typeof prompt === 'string' && typeof answer === 'string' ? { prompt, answer } : undefined
  } catch {
    // A malformed key, an invalid tag or malformed bytes: this line is not for this key.
    return undefined
  }
}

/** A new key pair in PEM: keep the private half in a safe place, give the public half to the server. */
export function newTextsKey(): { privateKey: string; publicKey: string } {
  const pair = generateKeyPairSync('x25519')
  return {
    privateKey: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    publicKey: pair.publicKey.export({ format: 'pem', type: 'spki' }) as string
  }
}

/**
 * Reads a PEM as the wanted half of an X25519 key; undefined for anything else. A private key never counts as a public
 * one.
 */
export function readTextsKey(pem: string, half: 'public' | 'private'): KeyObject | undefined {
  try {
    if (pem.includes('PRIVATE') !== (half === 'private')) return undefined
    const key = half === 'private' ? createPrivateKey(pem) : createPublicKey(pem)
    return key.asymmetricKeyType === 'x25519' ? key : undefined
  } catch {
    return undefined
  }
}

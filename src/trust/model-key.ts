/**
 * Keys that sign models. The specification (OpenSSF Model Signing 1.0, algorithm registry) has ECDSA on P-256, P-384
 * and P-521, each with the hash of its strength, signatures in DER. Ed25519 is an extension of Verit, which a verifier
 * accepts only on request.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import { checkTrusted, openTrusted } from '../lib/trusted-file.ts'
import type { Objection } from '../lib/trusted-file.ts'
import { ed25519FromSpki } from './ed25519.ts'

/** P-521 is verified but not made: nothing needs it, and every verifier has the others. */
export type ModelKeyKind = 'p256' | 'p384' | 'p521' | 'ed25519'
export const newKeyKinds = ['p256', 'p384', 'ed25519'] as const

const CURVES = { p256: 'prime256v1', p384: 'secp384r1', p521: 'secp521r1' } as const
const HASHES: Readonly<Record<ModelKeyKind, string | null>> = {
  p256: 'sha256',
  p384: 'sha384',
  p521: 'sha512',
  ed25519: null
}
const MAX_KEY_BYTES = 16_384

export interface ModelKey {
  readonly kind: ModelKeyKind
  /** The public key, also where a private one was given. */
  readonly publicKey: KeyObject
  /**
   * SHA-256 (hexadecimal) of the PEM text, which a bundle carries so that the key is found: the reference
   * implementation's form.
   */
  readonly hint: string
}

/** A new key pair, both halves in PEM (PKCS #8, SPKI). */
export function newModelKey(kind: (typeof newKeyKinds)[number]): { privateKey: string; publicKey: string } {
  const { privateKey, publicKey } =
    kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: CURVES[kind] })
  return { privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), publicKey: publicPem(publicKey) }
}

/** The one PEM text of a public key, with a final line break. */
export const publicPem = (key: KeyObject): string => key.export({ format: 'pem', type: 'spki' }).toString()

/**
 * @param source what to call it in errors. @throws VeritError VERIT_KEY_FILE when it is of a kind that does not sign
 * models
 */
export function modelKey(publicKey: KeyObject, source: string): ModelKey {
  const kind = kindOf(publicKey)
  if (kind === undefined)
    refuse(source, 'it is neither ECDSA on P-256, P-384 or P-521 nor Ed25519', 'Make one with verit model keygen')
  if (kind === 'ed25519') ed25519FromSpki(publicKey.export({ format: 'der', type: 'spki' })) // refuses weak keys
  return { kind, publicKey, hint: createHash('sha256').update(publicPem(publicKey)).digest('hex') }
}

/** Reads a public key: one PEM block (BEGIN PUBLIC KEY). @throws VeritError VERIT_KEY_FILE, VERIT_PUBLIC_KEY */
export function publicKeyFromPem(pem: string, source: string): ModelKey {
  if (!/^\s*-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/.test(pem)) {
    refuse(
      source,
      'it is not one public key in PEM (BEGIN PUBLIC KEY)',
      'Give the file that verit model keygen wrote beside the private key'
    )
  }
  let key: KeyObject
  try {
    key = createPublicKey({ key: pem, format: 'pem' })
  } catch {
    return refuse(source, 'its bytes are not a public key', 'Get it again from its owner')
  }
  return modelKey(key, source)
}

/**
 * A private key file: PKCS #8 or SEC 1 in PEM, not encrypted, its owner's alone. @throws VeritError VERIT_KEY_FILE and
 * those of reading
 */
export function readPrivateModelKey(path: string): ModelKey & { readonly privateKey: KeyObject } {
  const refused = ({ clause, command }: Objection): VeritError =>
    new VeritError('VERIT_KEY_FILE', {
      path,
      problem: clause,
      fix: `If nobody else has used it, run ${command}; otherwise make a new key`
    })
  // As a public key first, so that somebody who names the wrong file of a pair hears that.
  const file = openTrusted(path, { kind: 'decides', purpose: 'the private key to sign with', refuse: refused })
  try {
    if (file.size > MAX_KEY_BYTES) refuse(path, `it has more than ${MAX_KEY_BYTES} bytes`, 'Give a private key in PEM')
    const bytes = file.readAll()
    if (bytes.includes('-----BEGIN PUBLIC KEY-----') && !bytes.includes('PRIVATE KEY-----')) {
      const fix =
        'Give the private key that belongs to it (BEGIN PRIVATE KEY): ' +
        'verit model keygen makes both, NAME.pem and NAME.pub'
      refuse(path, 'it is a public key, and only the private one signs', fix)
    }
    checkTrusted(file.fd, path, { kind: 'secret', refuse: refused })
    let privateKey: KeyObject
    try {
      privateKey = createPrivateKey({ key: bytes, format: 'pem' })
    } catch {
      // no cause: it may quote the key
      return refuse(path, 'it is not an unencrypted private key in PEM', 'Make one with verit model keygen')
    }
    return { ...modelKey(createPublicKey(privateKey), path), privateKey }
  } finally {
    file.close()
  }
}

export function signWith(privateKey: KeyObject, kind: ModelKeyKind, message: Uint8Array): Buffer {
  return sign(HASHES[kind], message, privateKey)
}

/** Whether the signature is the key's. A signature of any form is only ever true or false. */
export function holds(key: ModelKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(HASHES[key.kind], message, key.publicKey, signature)
  } catch {
    return false
  }
}

function kindOf(key: KeyObject): ModelKeyKind | undefined {
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519'
  const curve = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : undefined
  return (Object.keys(CURVES) as (keyof typeof CURVES)[]).find(k => CURVES[k] === curve)
}

function refuse(path: string, problem: string, fix: string): never {
  throw new VeritError('VERIT_KEY_FILE', { path, problem, fix })
}

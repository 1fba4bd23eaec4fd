/**
 * A credential in a file of its owner's (mode 0600): an Ed25519 private key, or the secret text of a key, with the
 * credential's id. JSON, so that other programs can read it:
 *   { "kind": "ed25519", "keyid": "key_0123456789ab.1", "privateKey": "-----BEGIN PRIVATE KEY-----..." }
 *   { "kind": "hmac-sha256", "keyid": "key_0123456789ab.1", "key": "verit_..." }
 */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { ed25519ToSpki } from '../trust/ed25519.ts'
import { CREDENTIAL_ID } from '../trust/request-profile.ts'
import type { Signer } from '../trust/request-profile.ts'
import { signingSecret } from '../trust/signing-secret.ts'

/** The contents of a key file that `verit keys create --key-file` wrote. */
export type KeyFile =
  | {
      readonly kind: 'ed25519'
      readonly keyid: string
      /** PKCS #8, PEM, not encrypted. */ readonly privateKey: string
    }
  | { readonly kind: 'hmac-sha256'; readonly keyid: string; /** `verit_...` */ readonly key: string }

const MAX_BYTES = 16_384

/** A new Ed25519 key pair: the private key for a key file (PEM), the public one to register (DER SPKI). */
export function newKeyPair(): { privateKey: string; publicKey: Buffer } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicKey: ed25519ToSpki(publicKey)
  }
}

/**
 * Reads a key file.
 * @throws VeritError VERIT_KEY_FILE where it is malformed, another user's, or open to others; VERIT_FILE_NOT_FOUND,
 *   VERIT_FILE_KIND, VERIT_FILE_IO
 */
export function readKeyFile(path: string): KeyFile {
  const bytes = readTrusted(path, {
    kind: 'secret',
    purpose: 'the key to sign with',
    limit: MAX_BYTES,
    tooLong: () => keyError(path, `it has more than ${MAX_BYTES} bytes`),
    refuse: ({ clause, command }) =>
      keyError(path, clause, `If nobody else has used it, run ${command}; otherwise revoke the key and make a new one`)
  })
  return parse(path, bytes.toString('utf8'))
}

/**
 * Writes a key file, mode 0600, whole or not at all. @throws VeritError VERIT_FILE_EXISTS unless `overwrite`,
 * VERIT_FILE_IO
 */
export function writeKeyFile(path: string, content: KeyFile, overwrite = false): void {
  writeFileAtomic(path, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, overwrite })
}

/**
 * The signer of requests for a credential. `path` names it in errors. @throws VeritError VERIT_KEY_FILE if it is
 * malformed
 */
export function signerOf(content: KeyFile, path = 'given in the program'): Signer {
  const { keyid, kind } = content
  if (typeof keyid !== 'string' || !CREDENTIAL_ID.test(keyid)) {
    refuse(path, 'keyid is not the id of a credential (key_, 12 hexadecimal digits, a dot and a number)')
  }
  if (kind === 'ed25519') return { alg: 'ed25519', keyId: keyid, privateKey: privateKeyOf(path, content.privateKey) }
  return { alg: 'hmac-sha256', keyId: keyid, secret: signingSecret(content.key) }
}

function keyError(
  path: string,
  problem: string,
  fix = 'Make it again: docs/reference/request-signing.md shows its form'
): VeritError {
  return new VeritError('VERIT_KEY_FILE', { path, problem, fix })
}

function refuse(path: string, problem: string): never {
  throw keyError(path, problem)
}

function privateKeyOf(path: string, pem: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: pem, format: 'pem' })
  } catch {
    refuse(path, 'privateKey is not an unencrypted private key in PEM') // no cause: it may quote the key
  }
  if (key.asymmetricKeyType !== 'ed25519')
    refuse(path, `privateKey is ${key.asymmetricKeyType ?? 'of another kind'}, not Ed25519`)
  return key
}

function parse(path: string, text: string): KeyFile {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    refuse(path, 'it is not JSON') // no cause: it may quote the key
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(path, 'it is not a JSON object')
  const fields = value as Record<string, unknown>
  const { kind } = fields
  if (kind !== 'ed25519' && kind !== 'hmac-sha256') refuse(path, 'kind is neither "ed25519" nor "hmac-sha256"')
  const expected = ['kind', 'keyid', kind === 'ed25519' ? 'privateKey' : 'key']
  for (const name of expected) if (typeof fields[name] !== 'string') refuse(path, `${name} is missing or not a text`)
  if (Object.keys(fields).length > expected.length) refuse(path, `it has fields besides ${expected.join(', ')}`)
  signerOf(fields as unknown as KeyFile, path)
  return fields as unknown as KeyFile
}

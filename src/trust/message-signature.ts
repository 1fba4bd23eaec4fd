/**
 * Signatures of HTTP messages (RFC 9421): strict parsing of the two fields, and Verit's two algorithms. Parsing proves
 * nothing: it returns the claims, so that the right key can be found.
 */
import { createHmac, sign as signBytes, timingSafeEqual, verify as verifyBytes } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { isInnerList } from 'structured-headers'
import type { BareItem } from 'structured-headers'
import { invariant } from '../lib/errors.ts'
import type { Component, FieldLines } from './http-message.ts'
import { refuseSignature, singleField } from './http-message.ts'
import type { SignatureParameters } from './signature-base.ts'
import { strictDictionary } from './structured-field.ts'

export const signatureAlgorithms = ['ed25519', 'hmac-sha256'] as const
export type SignatureAlgorithm = (typeof signatureAlgorithms)[number]

/** A key with the one algorithm that it may be used with. HMAC secrets are 32 bytes. */
export type SigningKey =
  | { readonly alg: 'ed25519'; readonly privateKey: KeyObject }
  | { readonly alg: 'hmac-sha256'; readonly secret: Uint8Array }
export type VerifyingKey =
  | { readonly alg: 'ed25519'; readonly publicKey: KeyObject }
  | { readonly alg: 'hmac-sha256'; readonly secret: Uint8Array }

/** Content of the fields Signature-Input and Signature. */
export interface ReadSignature {
  readonly label: string
  readonly components: readonly Component[]
  readonly parameters: SignatureParameters
  readonly signature: Buffer
}

/** Longest fields that are looked at, in characters, and most components. */
const INPUT_LIMIT = 2048
const SIGNATURE_LIMIT = 1024
const COMPONENTS = 32

const text = (value: BareItem): boolean => typeof value === 'string'
const seconds = (value: BareItem): boolean => typeof value === 'number' && Number.isInteger(value) && value >= 0
const known: Readonly<Record<string, (value: BareItem) => boolean>> = {
  created: seconds,
  expires: seconds,
  nonce: text,
  alg: text,
  keyid: text,
  tag: text
}

function readComponent([name, parameters]: [BareItem, ReadonlyMap<string, BareItem>]): Component {
  if (typeof name !== 'string') refuseSignature('a covered component is not a string')
  return {
    name,
    parameters: [...parameters].map(([parameter, value]) => {
      if (value !== true && typeof value !== 'string')
        refuseSignature('a covered component has a parameter of a wrong type')
      return [parameter, value] as const
    })
  }
}

/**
 * Reads the one signature of a message.
 * @throws VeritError VERIT_SIGNATURE unless there is one Signature-Input and one Signature field, each canonical and
 *   with one member of the same label, and every parameter is known (RFC 9421, 2.3) and of its type
 */
export function readSignature(headers: FieldLines): ReadSignature {
  const inputField = singleField(headers, 'signature-input') ?? refuseSignature('there is no signature-input field')
  const signatureField = singleField(headers, 'signature') ?? refuseSignature('there is no signature field')
  const inputs = [...strictDictionary('signature-input', inputField, INPUT_LIMIT)]
  const signatures = [...strictDictionary('signature', signatureField, SIGNATURE_LIMIT)]
  if (inputs.length !== 1 || signatures.length !== 1) refuseSignature('there is not exactly one signature')
  const [label, input] = inputs[0]!
  const [signatureLabel, [signature, extra]] = signatures[0]!
  if (label !== signatureLabel) refuseSignature('signature-input and signature have different labels')
  if (!isInnerList(input)) refuseSignature('signature-input is not a list of components')
  if (!(signature instanceof ArrayBuffer) || extra.size > 0)
    refuseSignature('the signature is not a plain byte sequence')
  const [items, parameters] = input
  if (items.length > COMPONENTS) refuseSignature(`more than ${COMPONENTS} components are covered`)
  for (const [name, value] of parameters) {
    if (!Object.hasOwn(known, name)) refuseSignature('signature-input has a parameter that is not known')
    if (!known[name]!(value)) refuseSignature(`the parameter ${name} of signature-input is of a wrong type`)
  }
  return { label, components: items.map(readComponent), parameters, signature: Buffer.from(signature) }
}

/** Signs a signature base. Ed25519: 64 bytes (RFC 8032); HMAC-SHA-256: 32 bytes. Both are deterministic. */
export function signBase(base: string, key: SigningKey): Buffer {
  if (key.alg === 'hmac-sha256') return hmac(base, key.secret)
  invariant(
    key.privateKey.type === 'private' && key.privateKey.asymmetricKeyType === 'ed25519',
    'a signing key is not an Ed25519 private key'
  )
  return signBytes(null, Buffer.from(base, 'latin1'), key.privateKey)
}

/** Whether a signature is that of the base under this key. Compares in constant time. */
export function verifyBase(base: string, signature: Uint8Array, key: VerifyingKey): boolean {
  if (key.alg === 'hmac-sha256') return signature.length === 32 && timingSafeEqual(hmac(base, key.secret), signature)
  if (key.publicKey.type !== 'public' || key.publicKey.asymmetricKeyType !== 'ed25519' || signature.length !== 64)
    return false
  return verifyBytes(null, Buffer.from(base, 'latin1'), key.publicKey, signature)
}

function hmac(base: string, secret: Uint8Array): Buffer {
  invariant(secret.length >= 32, 'an HMAC secret has less than 32 bytes')
  return createHmac('sha256', secret).update(base, 'latin1').digest()
}

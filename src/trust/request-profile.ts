/**
 * How requests to Verit are signed: one choice from RFC 9421 with nothing left open
 * (docs/reference/request-signing.md). One signature with the label `verit`; covered are always the same components in
 * the same order; five parameters, each required, no others. Queries are not signed, so a path with one is refused.
 */
import { randomBytes } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import { contentDigest, parseContentDigest } from './content-digest.ts'
import { ed25519FromSpki } from './ed25519.ts'
import { fieldLines, refuseSignature, singleField } from './http-message.ts'
import type { Component, FieldLines, RequestMessage } from './http-message.ts'
import { readSignature, signBase, signatureAlgorithms, verifyBase } from './message-signature.ts'
import type { ReadSignature, SignatureAlgorithm, SigningKey } from './message-signature.ts'
import { componentId, signatureBase, signatureParams } from './signature-base.ts'
import type { SignatureParameters } from './signature-base.ts'

export const LABEL = 'verit'
export const REQUEST_TAG = 'verit'
/** The id of a credential: the key's id, a dot and a number. */
export const CREDENTIAL_ID = /^key_[0-9a-f]{12}\.[1-9][0-9]{0,8}$/
const NONCE = /^[A-Za-z0-9_-]{22,64}$/
const PARAMETERS = ['created', 'nonce', 'keyid', 'alg', 'tag']

const named = (...names: string[]): Component[] => names.map(name => ({ name, parameters: [] }))
const withoutBody = named('@method', '@authority', '@path')
const withBody = named('@method', '@authority', '@path', 'content-type', 'content-digest')

/** Request parts that a response is bound to. */
export interface RequestBinding {
  readonly method: string
  /** The Host field; letter case does not matter. */
  readonly authority: string
  /** As in the request line, without a query. */
  readonly path: string
  /** The Content-Digest field of the request, where it had one. */
  readonly contentDigest: string | undefined
  /** The signature of the request, where it had one. */
  readonly signature: Uint8Array | undefined
}

export interface RequestToSign {
  readonly method: string
  readonly authority: string
  readonly path: string
  /** Names in lower case. `content-type` is required if there is a body. */
  readonly headers: Readonly<Record<string, string>>
  /** Absent or empty: a request without a body. */
  readonly body?: Uint8Array
}

/** The signer: a credential's id and its key. */
export type Signer = SigningKey & { readonly keyId: string }

export interface RequestSignature extends RequestBinding {
  readonly keyId: string
  readonly alg: SignatureAlgorithm
  /** Unix time in seconds. */
  readonly created: number
  readonly nonce: string
  readonly signature: Buffer
  /** The text that was signed. */
  readonly base: string
}

export interface SignedRequest {
  /** Fields to add; names in lower case. */
  readonly headers: Record<string, string>
  /** For signResponse and verifyResponse. */
  readonly binding: RequestBinding
}

/** The two fields of a signature. */
export function signatureFields(
  components: readonly Component[],
  parameters: SignatureParameters,
  signature: Uint8Array
): Record<string, string> {
  return {
    'signature-input': `${LABEL}=${signatureParams(components, parameters)}`,
    signature: `${LABEL}=:${Buffer.from(signature).toString('base64')}:`
  }
}

/** Whether exactly these components are covered, in this order. */
export function covers(signature: ReadSignature, components: readonly Component[]): boolean {
  return signature.components.map(componentId).join(' ') === components.map(componentId).join(' ')
}

/** Refuses a signature of another label or tag, or with parameters missing or too many. */
export function checkParameters({ label, parameters }: ReadSignature, names: readonly string[], tag: string): void {
  if (label !== LABEL) refuseSignature(`its label is not ${LABEL}`)
  for (const name of names) if (!parameters.has(name)) refuseSignature(`the parameter ${name} is missing`)
  for (const name of parameters.keys())
    if (!names.includes(name)) refuseSignature(`the parameter ${name} is not allowed`)
  if (parameters.get('tag') !== tag) refuseSignature(`the parameter tag is not "${tag}"`)
}

function message(method: string, authority: string, path: string, headers: FieldLines): RequestMessage {
  if (!path.startsWith('/') || /[?#]/.test(path))
    refuseSignature('the path has a query, which is not signed, or is no path')
  if (authority === '') refuseSignature('there is no host')
  return { method, authority, target: path, headers }
}

/**
 * Signs a request.
 * @param at Unix time in seconds, now unless given; `nonce` 32 random bytes unless given
 * @throws VeritError VERIT_SIGNATURE when it cannot be signed: a query, or a body without content-type
 */
export function signRequest(
  request: RequestToSign,
  signer: Signer,
  at = Math.floor(Date.now() / 1000),
  nonce = randomBytes(32).toString('base64url')
): SignedRequest {
  const { method, authority, path, body } = request
  const hasBody = body !== undefined && body.length > 0
  const headers: [string, string][] = []
  if (hasBody) {
    const type = request.headers['content-type'] ?? refuseSignature('a body needs a content-type')
    headers.push(['content-type', type], ['content-digest', contentDigest(body)])
  }
  const components = hasBody ? withBody : withoutBody
  const parameters = new Map<string, string | number>([
    ['created', at],
    ['nonce', nonce],
    ['keyid', signer.keyId],
    ['alg', signer.alg],
    ['tag', REQUEST_TAG]
  ])
  const signature = signBase(signatureBase(components, parameters, message(method, authority, path, headers)), signer)
  const digest = hasBody ? headers[1]![1] : undefined
  return {
    headers: {
      ...(digest === undefined ? {} : { 'content-digest': digest }),
      ...signatureFields(components, parameters, signature)
    },
    binding: { method, authority, path, contentDigest: digest, signature }
  }
}

/**
 * Reads the signature of a request by the rules of the profile. Proves nothing yet: next come verifyRequestSignature,
 * checkCreated, the first use of the nonce, and, with the body, checkContentDigest.
 * @param rawHeaders as Node gives them: name, value, name, value ...
 * @param hasBody whether content-length is above 0 or there is a transfer coding
 * @throws VeritError VERIT_SIGNATURE naming the broken rule
 */
export function readRequestSignature(
  rawHeaders: readonly string[],
  method: string,
  authority: string,
  path: string,
  hasBody: boolean
): RequestSignature {
  const lines = fieldLines(rawHeaders)
  const read = readSignature(lines)
  checkParameters(read, PARAMETERS, REQUEST_TAG)
  const components = hasBody ? withBody : withoutBody
  if (!covers(read, components)) {
    refuseSignature(
      `a request ${hasBody ? 'with' : 'without'} a body covers exactly ${components.map(componentId).join(' ')}`
    )
  }
  const digest = singleField(lines, 'content-digest')
  if (hasBody) {
    singleField(lines, 'content-type')
    parseContentDigest(digest ?? refuseSignature('there is no content-digest'))
  } else if (digest !== undefined) {
    refuseSignature('there is a content-digest, but no body')
  }
  const { parameters, signature } = read
  const alg = signatureAlgorithms.find(a => a === parameters.get('alg'))
  if (alg === undefined) refuseSignature('the parameter alg is neither "ed25519" nor "hmac-sha256"')
  const keyId = parameters.get('keyid') as string
  const nonce = parameters.get('nonce') as string
  if (!CREDENTIAL_ID.test(keyId))
    refuseSignature('the parameter keyid is not the id of a credential (key_..., a dot and a number)')
  if (!NONCE.test(nonce)) refuseSignature('the parameter nonce is not 22 to 64 characters of base64url')
  if (signature.length !== (alg === 'ed25519' ? 64 : 32)) refuseSignature(`the signature has ${signature.length} bytes`)
  const base = signatureBase(components, parameters, message(method, authority, path, lines))
  return {
    keyId,
    alg,
    created: parameters.get('created') as number,
    nonce,
    signature,
    base,
    method,
    authority,
    path,
    contentDigest: digest
  }
}

/**
 * Whether the signature is that of the credential. A credential has a public key or an HMAC secret; a signature of the
 * other kind never holds.
 * @throws VeritError VERIT_PUBLIC_KEY when the credential's public key cannot be used
 */
export function verifyRequestSignature(
  read: RequestSignature,
  credential: { readonly publicKey: Uint8Array | undefined; readonly signingSecret: Uint8Array | undefined }
): boolean {
  const { publicKey, signingSecret } = credential
  const { alg, base, signature } = read
  if (publicKey !== undefined)
    return alg === 'ed25519' && verifyBase(base, signature, { alg, publicKey: ed25519FromSpki(publicKey) })
  return (
    signingSecret !== undefined && alg === 'hmac-sha256' && verifyBase(base, signature, { alg, secret: signingSecret })
  )
}

/**
 * Refuses a signature made too long ago or in the future.
 * @param now Unix time in seconds
 * @throws VeritError VERIT_SIGNATURE
 */
export function checkCreated(created: number, windowSeconds: number, now = Math.floor(Date.now() / 1000)): void {
  const off = created - now
  if (Math.abs(off) <= windowSeconds) return
  const problem =
    `it was created ${Math.abs(off)} s ${off < 0 ? 'before' : 'after'} now by the clock of the ` +
    `server, which allows ${windowSeconds} s`
  throw new VeritError('VERIT_SIGNATURE', { problem })
}

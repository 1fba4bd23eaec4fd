/**
 * How answers of Verit are signed (docs/reference/request-signing.md): by the server's Ed25519 key, over the status,
 * the content type and digest, and the request that is answered, its signature included; so an answer can be moved
 * neither to another request nor to another body. A stream has no digest at its head: stream-signature.ts signs its
 * end.
 */
import type { KeyObject } from 'node:crypto'
import { invariant } from '../lib/errors.ts'
import { checkContentDigest, contentDigest, parseContentDigest } from './content-digest.ts'
import { ed25519ToSpki, fingerprint } from './ed25519.ts'
import { refuseSignature, singleField } from './http-message.ts'
import type { Component, FieldLines, ResponseMessage } from './http-message.ts'
import { readSignature, signBase, verifyBase } from './message-signature.ts'
import { LABEL, checkParameters, covers, signatureFields } from './request-profile.ts'
import type { RequestBinding } from './request-profile.ts'
import { signatureBase } from './signature-base.ts'

export const RESPONSE_TAG = 'verit-response'
const PARAMETERS = ['created', 'keyid', 'alg', 'tag']
const STREAM = /^text\/event-stream *(;|$)/
/**
 * Maximum difference between `created` of an answer to an unsigned request and the client's clock, in seconds: nothing
 * else shows that it is new.
 */
const WINDOW = 300

/** The server's own key pair. */
export interface ServerKey {
  /** serverKeyId of it. */
  readonly keyId: string
  readonly privateKey: KeyObject
}

export interface ResponseToSign {
  readonly status: number
  /** Names in lower case. `content-type` is covered where it is there. */
  readonly headers: Readonly<Record<string, string>>
  /** The whole body, possibly empty; absent for a stream of events. */
  readonly body?: Uint8Array
  /** In place of the body: its content-digest, as contentDigest gives it. */
  readonly digest?: string
}

export interface SignedResponse {
  /** Fields to add; names in lower case. */
  readonly headers: Record<string, string>
  /** For StreamSigner. */
  readonly signature: Buffer
}

export interface VerifiedResponse {
  readonly created: number
  readonly signature: Buffer
  /** The signed digest of the whole body; undefined: a stream, whose end StreamChecker checks. */
  readonly contentDigest: string | undefined
}

/** The `keyid` of a server's signatures: `server_` and 12 hexadecimal digits of the key's fingerprint. */
export function serverKeyId(key: KeyObject): string {
  return `server_${fingerprint(ed25519ToSpki(key)).slice(0, 12)}`
}

function components(contentType: boolean, whole: boolean, request: RequestBinding): Component[] {
  const of = (name: string, ...parameters: [string, string | true][]): Component => ({ name, parameters })
  return [
    of('@status'),
    ...(contentType ? [of('content-type')] : []),
    ...(whole ? [of('content-digest')] : []),
    of('@method', ['req', true]),
    of('@authority', ['req', true]),
    of('@path', ['req', true]),
    ...(request.signature === undefined ? [] : [of('signature', ['key', LABEL], ['req', true])]),
    ...(request.contentDigest === undefined ? [] : [of('content-digest', ['req', true])])
  ]
}

function message(status: number, headers: FieldLines, request: RequestBinding): ResponseMessage {
  const { method, authority, path, contentDigest: digest, signature } = request
  const fields: [string, string][] = []
  if (signature !== undefined) fields.push(['signature', `${LABEL}=:${Buffer.from(signature).toString('base64')}:`])
  if (digest !== undefined) fields.push(['content-digest', digest])
  return { status, headers, request: { method, authority, target: path, headers: fields } }
}

/**
 * Signs an answer; for a stream, its head.
 * @param at Unix time in seconds, now unless given
 */
export function signResponse(
  response: ResponseToSign,
  request: RequestBinding,
  key: ServerKey,
  at = Math.floor(Date.now() / 1000)
): SignedResponse {
  const { status, body } = response
  const digest = response.digest ?? (body === undefined ? undefined : contentDigest(body))
  const type = response.headers['content-type']
  const isStream = type !== undefined && STREAM.test(type)
  invariant(digest !== undefined || isStream, 'an answer without a body is signed as a stream, which it is not')
  const headers: [string, string][] = []
  if (type !== undefined) headers.push(['content-type', type])
  if (digest !== undefined) headers.push(['content-digest', digest])
  const covered = components(type !== undefined, digest !== undefined, request)
  const parameters = new Map<string, string | number>([
    ['created', at],
    ['keyid', key.keyId],
    ['alg', 'ed25519'],
    ['tag', RESPONSE_TAG]
  ])
  const signature = signBase(signatureBase(covered, parameters, message(status, headers, request)), {
    alg: 'ed25519',
    privateKey: key.privateKey
  })
  return {
    headers: {
      ...(digest === undefined ? {} : { 'content-digest': digest }),
      ...signatureFields(covered, parameters, signature)
    },
    signature
  }
}

/**
 * Verifies an answer against its request. Pass `body` if it is known; otherwise check it afterwards: with
 * checkContentDigest, or for a stream with StreamChecker.
 * @param serverKey the server's public key
 * @param now Unix time in seconds
 * @throws VeritError VERIT_SIGNATURE naming the broken rule
 */
export function verifyResponse(
  response: { readonly status: number; readonly headers: FieldLines; readonly body?: Uint8Array },
  request: RequestBinding,
  serverKey: KeyObject,
  now = Math.floor(Date.now() / 1000)
): VerifiedResponse {
  const { status, headers, body } = response
  const read = readSignature(headers)
  checkParameters(read, PARAMETERS, RESPONSE_TAG)
  const { parameters, signature } = read
  if (parameters.get('alg') !== 'ed25519') refuseSignature('the parameter alg is not "ed25519"')
  const keyId = serverKeyId(serverKey)
  if (parameters.get('keyid') !== keyId) refuseSignature(`it was not made with the expected server key, ${keyId}`)
  const type = singleField(headers, 'content-type')
  const digest = singleField(headers, 'content-digest')
  if (digest === undefined && (type === undefined || !STREAM.test(type))) refuseSignature('there is no content-digest')
  const covered = components(type !== undefined, digest !== undefined, request)
  if (!covers(read, covered)) refuseSignature('it does not cover what an answer to this request covers')
  const base = signatureBase(covered, parameters, message(status, headers, request))
  if (!verifyBase(base, signature, { alg: 'ed25519', publicKey: serverKey }))
    refuseSignature('it does not fit this answer to this request')
  const created = parameters.get('created') as number
  if (request.signature === undefined && Math.abs(created - now) > WINDOW)
    refuseSignature(`it was created ${Math.abs(created - now)} s from now`)
  if (digest !== undefined) parseContentDigest(digest)
  if (body !== undefined) checkContentDigest(digest ?? refuseSignature('a whole body has no content-digest'), body)
  return { created, signature, contentDigest: digest }
}

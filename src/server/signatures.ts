/** Signatures of requests and answers (docs/signing.md) where they meet HTTP: what is read from a request, what is added to an answer. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { Credential } from '../store/key-store.ts'
import { turn } from '../lib/turns.ts'
import { checkContentDigestInSlices } from '../trust/content-digest.ts'
import { checkCreated, readRequestSignature, verifyRequestSignature } from '../trust/request-profile.ts'
import type { RequestBinding, RequestSignature } from '../trust/request-profile.ts'
import { signResponse } from '../trust/response-profile.ts'
import { StreamSigner } from '../trust/stream-signature.ts'
import type { GatewayContext } from './context.ts'

/** @throws VeritError VERIT_SIGNATURE */
export function readSignature({ raw }: FastifyRequest, hasBody: boolean): RequestSignature {
  return readRequestSignature(raw.rawHeaders, raw.method ?? '', raw.headers.host ?? '', raw.url ?? '', hasBody)
}

/**
 * Checks signature and time. A credential that is not there and one that does not fit look the same from outside.
 * @throws VeritError VERIT_SIGNATURE
 */
export function verifySignature(signature: RequestSignature, credential: Credential | undefined, windowSeconds: number): asserts credential is Credential {
  if (credential === undefined || !verifyRequestSignature(signature, credential)) {
    throw new VeritError('VERIT_SIGNATURE', { problem: 'it does not fit the request, or its key is not valid' })
  }
  checkCreated(signature.created, windowSeconds)
}

/** A body must be the one whose digest was sent, and signed. @throws VeritError VERIT_SIGNATURE */
export async function checkDigest({ raw }: FastifyRequest, body: Buffer): Promise<void> {
  const digest = raw.headers['content-digest']
  if (digest !== undefined) await checkContentDigestInSlices(String(digest), body, turn)
}

/** What an answer is bound to; undefined where it is not to be signed. */
function bindingOf({ config }: GatewayContext, { raw, verit }: FastifyRequest): RequestBinding | undefined {
  const signature = verit.caller?.signature
  if (config.signing.responses === 'none' || (config.signing.responses === 'signed' && signature === undefined)) return undefined
  if (signature !== undefined) return signature
  const digest = raw.headers['content-digest']
  return {
    method: raw.method ?? '', authority: raw.headers.host ?? '', path: raw.url ?? '', contentDigest: digest === undefined ? undefined : String(digest), signature: undefined,
  }
}

/** Signs a whole answer, once everything else about it is known. */
export function signReply(context: GatewayContext, request: FastifyRequest, reply: FastifyReply, payload: string | Buffer): void {
  const binding = bindingOf(context, request)
  if (binding === undefined || !isSignable(binding)) return
  const type = reply.getHeader('content-type')
  const body = Buffer.from(payload as string)
  const { headers } = signResponse({ status: reply.statusCode, headers: type === undefined ? {} : { 'content-type': String(type) }, body }, binding, context.serverKey)
  void reply.headers(headers)
}

/**
 * The fields that sign a whole answer of status 200; none where it is not to be signed.
 * @param digest gives its content-digest
 */
export async function signWhole(
  context: GatewayContext, request: FastifyRequest, contentType: string, digest: () => Promise<string>,
): Promise<Record<string, string>> {
  const binding = bindingOf(context, request)
  if (binding === undefined) return {}
  const response = { status: 200, headers: { 'content-type': contentType }, digest: await digest() }
  return signResponse(response, binding, context.serverKey).headers
}

/** Signs the head of a stream; the end of it is signed by what is returned. */
export function signStream(context: GatewayContext, request: FastifyRequest, status: number, headers: Record<string, string>): StreamSigning | undefined {
  const binding = bindingOf(context, request)
  if (binding === undefined) return undefined
  const signed = signResponse({ status, headers: { 'content-type': headers['content-type']! } }, binding, context.serverKey)
  return { headers: signed.headers, signer: new StreamSigner(signed.signature, context.serverKey.privateKey) }
}

export interface StreamSigning {
  readonly headers: Record<string, string>
  readonly signer: StreamSigner
}

/** A refused request may have an address or a field that no signature covers. */
const isSignable = ({ path, authority, contentDigest = '' }: RequestBinding): boolean =>
  /^\/[^?#]*$/.test(path) && authority !== '' && /^[\x20-\x7e]*$/.test(path + authority + contentDigest)

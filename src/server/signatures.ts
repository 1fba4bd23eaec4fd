/**
 * Signatures of requests and answers (docs/reference/request-signing.md) in HTTP: reading them from a request, adding
 * them to an answer.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { Credential } from '../store/key-store.ts'
import type { StoreClock } from '../store/store.ts'
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
 * Checks signature and time. A credential that is not there and one that does not fit look the same from outside. The
 * time is the store's, by which nonces are deleted. A clock that is a little behind it leaves part of the window; one
 * that is far behind would refuse every honest request as too old.
 * @throws VeritError VERIT_SIGNATURE; VERIT_CLOCK where the clock is behind the store's time by more than half of the
 * window
 */
export function verifySignature(
  signature: RequestSignature,
  credential: Credential | undefined,
  windowSeconds: number,
  clock: StoreClock
): asserts credential is Credential {
  if (credential === undefined || !verifyRequestSignature(signature, credential)) {
    throw new VeritError('VERIT_SIGNATURE', { problem: 'it does not fit the request, or its key is not valid' })
  }
  checkClock(clock, windowSeconds)
  checkCreated(signature.created, windowSeconds, Math.floor(clock.now().getTime() / 1000))
}

/** @throws VeritError VERIT_CLOCK */
function checkClock(clock: StoreClock, windowSeconds: number): void {
  const refuse = (problem: string, ms: number): never => {
    throw new VeritError('VERIT_CLOCK', { problem, retryAfter: Math.ceil(ms / 1000) })
  }
  const behind = clock.behind()
  if (behind > clockTolerance(windowSeconds)) {
    const seconds = Math.ceil(behind / 1000)
    refuse(`the clock of the server is ${seconds} s behind the latest time that its store has seen`, behind)
  }
  // A request made up to a window ahead of the clock may have been answered before the store was set back, and its
  // nonce forgotten.
  const wait = clock.accepted() + 2 * windowSeconds * 1000 - clock.now().getTime()
  if (clock.accepted() > 0 && wait > 0) refuse('the time of its store was set back a moment ago', wait)
}

/** ms by which the clock may be behind the store's time while signed requests are answered. */
export const clockTolerance = (windowSeconds: number): number => windowSeconds * 500

/** A body must be the one whose digest was sent, and signed. @throws VeritError VERIT_SIGNATURE */
export async function checkDigest({ raw }: FastifyRequest, body: Buffer): Promise<void> {
  const digest = raw.headers['content-digest']
  if (digest !== undefined) await checkContentDigestInSlices(String(digest), body, turn)
}

/** The binding of an answer; undefined if it is not signed. */
function bindingOf({ config }: GatewayContext, { raw, verit }: FastifyRequest): RequestBinding | undefined {
  const signature = verit.caller?.signature
  if (config.signing.responses === 'none' || (config.signing.responses === 'signed' && signature === undefined))
    return undefined
  if (signature !== undefined) return signature
  const digest = raw.headers['content-digest']
  return {
    method: raw.method ?? '',
    authority: raw.headers.host ?? '',
    path: raw.url ?? '',
    contentDigest: digest === undefined ? undefined : String(digest),
    signature: undefined
  }
}

/** Signs a whole answer, once everything else about it is known. */
export function signReply(
  context: GatewayContext,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: string | Buffer
): void {
  const binding = bindingOf(context, request)
  if (binding === undefined || !isSignable(binding)) return
  const type = reply.getHeader('content-type')
  const body = Buffer.from(payload as string)
  const { headers } = signResponse(
    { status: reply.statusCode, headers: type === undefined ? {} : { 'content-type': String(type) }, body },
    binding,
    context.serverKey
  )
  void reply.headers(headers)
}

/**
 * The fields that sign a whole answer of status 200; none if it is not to be signed.
 * @param digest gives its content-digest
 */
export async function signWhole(
  context: GatewayContext,
  request: FastifyRequest,
  contentType: string,
  digest: () => Promise<string>
): Promise<Record<string, string>> {
  const binding = bindingOf(context, request)
  if (binding === undefined) return {}
  const response = { status: 200, headers: { 'content-type': contentType }, digest: await digest() }
  return signResponse(response, binding, context.serverKey).headers
}

/** Signs the head of a stream; the returned function signs its end. */
export function signStream(
  context: GatewayContext,
  request: FastifyRequest,
  status: number,
  headers: Record<string, string>
): StreamSigning | undefined {
  const binding = bindingOf(context, request)
  if (binding === undefined) return undefined
  const signed = signResponse(
    { status, headers: { 'content-type': headers['content-type']! } },
    binding,
    context.serverKey
  )
  return { headers: signed.headers, signer: new StreamSigner(signed.signature, context.serverKey.privateKey) }
}

export interface StreamSigning {
  readonly headers: Record<string, string>
  readonly signer: StreamSigner
}

/** A refused request may have an address or a field that no signature covers. */
const isSignable = ({ path, authority, contentDigest = '' }: RequestBinding): boolean =>
  /^\/[^?#]*$/.test(path) && authority !== '' && /^[\x20-\x7e]*$/.test(path + authority + contentDigest)

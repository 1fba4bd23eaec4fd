/**
 * Authentication. Every failure to prove a key gives the same answer; a failing store gives 503, never access. Three
 * proofs: the secret in `Authorization: Bearer KEY`, a signature over the request (RFC 9421), or a TLS client
 * certificate if neither was sent.
 */
import type { FastifyRequest } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { Credential, KeyRecord, Scope } from '../store/key-store.ts'
import { clientCertificate } from './client-certificate.ts'
import type { Caller, GatewayContext } from './context.ts'
import { AddressList } from './forwarded.ts'
import { noLonger } from './revocations.ts'
import { readSignature, verifySignature } from './signatures.ts'

/**
 * Gives the key's record and how it was proved.
 * @param hasBody whether the request brings a body, which a signature must cover
 * @throws VeritError VERIT_UNAUTHORIZED, VERIT_SIGNATURE, VERIT_FORBIDDEN (the key may not be used from there),
 * VERIT_UNAVAILABLE (the store failed), VERIT_CLOCK (a signed request while the clock is behind)
 */
export async function authenticate(
  context: GatewayContext,
  request: FastifyRequest,
  hasBody: boolean
): Promise<Caller> {
  const caller = await prove(context, request, hasBody)
  if (!mayComeFrom(caller.record, request.verit.remote)) {
    throw new VeritError('VERIT_FORBIDDEN', { problem: 'the key may not be used from this address' })
  }
  return caller
}

async function prove(context: GatewayContext, request: FastifyRequest, hasBody: boolean): Promise<Caller> {
  const { authorization, signature, 'signature-input': input } = request.raw.headers
  const signed = signature !== undefined || input !== undefined
  if (signed && authorization !== undefined) throw unauthorized('the request has two of them, a key and a signature')
  if (signed) return bySignature(context, request, hasBody)
  if (authorization !== undefined) return bySecret(context, authorization)
  const certificate = clientCertificate(request.raw.socket, context.store.clock.now())
  if (certificate === undefined) throw unauthorized('the request has none')
  const credential = await ask(() => context.store.keys.byCertificate(certificate.fingerprint))
  if (credential === undefined) throw unauthorized(NOT_VALID)
  return { record: credential.record, credentialId: credential.id, proof: 'certificate', signature: undefined }
}

async function bySecret({ store }: GatewayContext, header: string): Promise<Caller> {
  // The scheme may be in any case, with one or more spaces behind it (RFC 9110 section 11.4); the key has one spelling.
  const secret = /^bearer +(.*)$/i.exec(header)?.[1]
  if (secret === undefined) throw unauthorized(NOT_VALID)
  const credential = await ask(() => store.keys.bySecret(secret))
  if (credential === undefined) throw unauthorized(NOT_VALID)
  if (credential.record.signing === 'required')
    throw unauthorized('requests of this key must be signed, and the key itself not be sent')
  return { record: credential.record, credentialId: credential.id, proof: 'secret', signature: undefined }
}

async function bySignature(context: GatewayContext, request: FastifyRequest, hasBody: boolean): Promise<Caller> {
  const signature = readSignature(request, hasBody)
  const credential = await ask(() => context.store.keys.byId(signature.keyId))
  verifySignature(signature, credential, context.config.signing.windowSeconds, context.store.clock)
  const { record, id } = credential as Credential
  // Only now, so that nobody without the key can fill the store: each nonce counts once, as long as its signature is in
  // the window.
  const expires = (signature.created + context.config.signing.windowSeconds + 1) * 1000
  if (!(await ask(() => context.store.replay.use(id, signature.nonce, expires)))) {
    throw new VeritError('VERIT_SIGNATURE', { problem: 'its nonce has been used before, or its time is over' })
  }
  return { record, credentialId: id, proof: signature.alg, signature }
}

/** @throws VeritError VERIT_FORBIDDEN */
export function authorize(record: KeyRecord, scope: Scope): void {
  if (!record.scopes.includes(scope))
    throw new VeritError('VERIT_FORBIDDEN', { problem: `the key does not have the scope "${scope}"` })
}

/** Whether the key may be used from an address now; an empty list allows all. */
export function mayComeFrom(record: KeyRecord, remote: string): boolean {
  return record.addresses.length === 0 || new AddressList(record.addresses).has(remote)
}

export const mayUse = (record: KeyRecord, model: string): boolean =>
  record.models.length === 0 || record.models.includes(model)

/**
 * Whether the current key still has the required scope for its caller, by the credential that proved it.
 * @param now the store's result for a valid key
 */
export function stillMay({ credentialId, proof }: Caller, now: KeyRecord, scope: Scope, remote: string): boolean {
  return (
    now.scopes.includes(scope) &&
    mayComeFrom(now, remote) &&
    now.credentials.some(c => c.id === credentialId) &&
    (proof !== 'secret' || now.signing !== 'required')
  )
}

/**
 * Checks an earlier caller in the store again; returns the current record of the key.
 * @throws VeritError VERIT_UNAUTHORIZED, VERIT_UNAVAILABLE
 */
export async function checkStillMay(
  { store }: GatewayContext,
  caller: Caller,
  scope: Scope,
  remote: string
): Promise<KeyRecord> {
  const { id } = caller.record
  const now = (await ask(() => store.keys.valid([id]))).get(id)
  if (now === undefined || !stillMay(caller, now, scope, remote)) throw noLonger()
  return now
}

/** A failing store is not an answer. */
export async function ask<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question()
  } catch (e) {
    if (VeritError.is(e) && e.status === 429) throw e // it works, and says "not so many"
    throw new VeritError('VERIT_UNAVAILABLE', { what: 'key store' }, e)
  }
}

const NOT_VALID = 'the one sent is not valid'
const unauthorized = (problem: string): VeritError => new VeritError('VERIT_UNAUTHORIZED', { problem })

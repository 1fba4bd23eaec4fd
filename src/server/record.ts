/**
 * The audit entry of a request: made once, and on disk before the last byte of the answer is sent. The watch receives
 * the same facts.
 */
import type { FastifyRequest } from 'fastify'
import type { RequestEntry } from '../audit/entry.ts'
import { VeritError } from '../lib/errors.ts'
import { appendEntry, closeGap } from './append-entry.ts'
import type { Caller, GatewayContext } from './context.ts'
import { errorReply } from './error-reply.ts'
import { nameOf } from './route.ts'

/**
 * Refusals that concern the caller; earlier problems of a request are only logged. VERIT_RATE_LIMIT stands for too many
 * requests without a valid key, VERIT_NONCES for signed ones.
 */
const AUTH_CODES = new Set([
  'VERIT_UNAUTHORIZED',
  'VERIT_SIGNATURE',
  'VERIT_FORBIDDEN',
  'VERIT_UNAVAILABLE',
  'VERIT_CLOCK',
  'VERIT_RATE_LIMIT',
  'VERIT_NONCES'
])
/** Refusals that cost nothing to provoke, again and again, with a valid key. */
const LIMIT_CODES = new Set(['VERIT_RATE_LIMIT', 'VERIT_TOO_MANY', 'VERIT_BUDGET', 'VERIT_BUSY'])

/**
 * Appends the entry of a request, unless that was done; waits until it is durable.
 * @param status HTTP status, or 499 for a client that left
 * @throws VeritError VERIT_UNAVAILABLE when the log cannot be written: then the answer must not be given
 */
export async function record(context: GatewayContext, request: FastifyRequest, status: number): Promise<void> {
  const notes = request.verit
  if (notes.recorded) return
  notes.recorded = true
  const code = notes.error === undefined ? undefined : errorReply(notes.error, '').code
  try {
    if (notes.caller === undefined) await recordRefusal(context, request, code)
    else await recordRequest(context, request, notes.caller, status, code)
    if (code === undefined) context.lastFailure = undefined // all that a request needs works
  } catch (e) {
    throw new VeritError('VERIT_UNAVAILABLE', { what: 'audit log' }, e)
  }
}

async function recordRefusal(
  context: GatewayContext,
  request: FastifyRequest,
  code: string | undefined
): Promise<void> {
  const { remote } = request.verit
  if (code === undefined || !AUTH_CODES.has(code)) return
  request.verit.counted = !context.refusals.ofStranger(remote)
  if (request.verit.counted) return
  const route = nameOf(request)
  const entry = { type: 'auth', request: request.id, result: 'refused', code, remote, route } as const
  request.verit.entry = await appendEntry(context, entry)
}

async function recordRequest(
  context: GatewayContext,
  request: FastifyRequest,
  caller: Caller,
  status: number,
  code: string | undefined
): Promise<void> {
  const { remote, generation, promptTokens, completionTokens, start } = request.verit
  const model = context.model
  context.unaudited?.count((promptTokens ?? 0) + (completionTokens ?? 0))
  observe(context, request, caller, status, code)
  // Work that a runner began has an entry, whatever the runner says later.
  if (code !== undefined && LIMIT_CODES.has(code) && promptTokens === undefined) {
    request.verit.counted = !context.refusals.ofKey(caller.record.id)
    if (request.verit.counted) return
  }
  const entry: Omit<RequestEntry, 'time'> = {
    type: 'request',
    request: request.id,
    remote,
    route: nameOf(request),
    key: caller.record.id,
    credential: caller.credentialId,
    proof: caller.proof,
    status,
    ms: Math.round(performance.now() - start),
    ...(code !== undefined && { code }),
    ...(promptTokens !== undefined && { promptTokens }),
    ...(completionTokens !== undefined && { completionTokens }),
    ...(generation !== undefined &&
      model !== undefined && {
        model: model.id,
        modelDigest: model.runner.digest,
        parameters: generation.parameters,
        ...(generation.finish !== undefined && { finish: generation.finish })
      })
  }
  const texts = generation === undefined ? undefined : { prompt: generation.prompt, answer: generation.answer }
  request.verit.entry = await appendEntry(context, entry, texts)
}

/**
 * Starts no generation while the log cannot be written: its text would be sent before it is known that it cannot be
 * recorded.
 * @throws VeritError VERIT_UNAVAILABLE
 */
export async function checkRecords(context: GatewayContext): Promise<void> {
  try {
    await closeGap(context)
  } catch (e) {
    throw new VeritError('VERIT_UNAVAILABLE', { what: 'audit log' }, e)
  }
}

function observe(
  context: GatewayContext,
  request: FastifyRequest,
  { record: { id } }: Caller,
  status: number,
  code: string | undefined
): void {
  const { remote, generation, promptTokens = 0, completionTokens = 0 } = request.verit
  const alerts = context.watch?.observe({
    keyId: id,
    at: Date.now(),
    route: nameOf(request),
    remote,
    status,
    code,
    promptTokens,
    completionTokens,
    prompt: generation?.promptIds === undefined ? (generation?.prompt ?? '') : '',
    promptIds: generation?.promptIds,
    parameters: generation?.observed ?? {}
  })
  if (alerts !== undefined && alerts.length > 0) context.onAlerts(alerts)
}

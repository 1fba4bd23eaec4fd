/**
 * One line a request in the log: no text, no path that the client chose, no key but its public name; names of fields
 * that were ignored. Also tells metrics and records that the request is over.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { GatewayContext } from './context.ts'
import type { IgnoredFields } from './dialect.ts'
import { errorReply } from './error-reply.ts'
import { record } from './record.ts'
import { nameOf } from './route.ts'

/** Failures of the server itself: the client learns the request id, the log the cause. */
const OWN_FAILURES = new Set(['VERIT_INTERNAL', 'VERIT_UNAVAILABLE'])
/** A client that left before its answer. */
const LEFT = 499

export function logWhenDone(context: GatewayContext, request: FastifyRequest, reply: FastifyReply): void {
  reply.raw.once('close', () => {
    const { caller, promptTokens, cachedTokens, completionTokens, error, ignored, start, remote } = request.verit
    const code = error === undefined ? undefined : errorReply(error, '').code
    const status = reply.raw.writableFinished ? reply.raw.statusCode : LEFT
    const ms = Math.round(performance.now() - start)
    // Refusals of unauthenticated clients are unlimited, so their lines are limited.
    const { counted } = request.verit
    const quiet = (counted || (caller === undefined && code !== undefined)) && !context.refusals.line(counted)
    const level = quiet ? 'debug' : 'info'
    const counts = { promptTokens, completionTokens, code, ...ignoredFields(ignored) }
    const fields = { id: request.id, status, ms, remote, key: caller?.record.id, ...counts }
    context.log[level](fields, nameOf(request))
    if (ignored !== undefined) context.metrics.fieldsIgnored(ignored.known, ignored.unknown.size)
    context.metrics.requestEnded({
      route: nameOf(request),
      status,
      code,
      seconds: ms / 1000,
      promptTokens,
      cachedTokens,
      completionTokens
    })
    if (!quiet && code !== undefined && OWN_FAILURES.has(code))
      context.log.error({ id: request.id, cause: causeOf(error) }, 'a request failed')
    // Everything that was answered has its entry by now; this one was not answered.
    record(context, request, status).catch((e: unknown) => {
      if (!quiet) context.log.error({ id: request.id, cause: causeOf(e) }, 'a request could not be recorded')
    })
  })
}

/** Names alone: those of the tables, and those that a client made up, made printable and few. */
function ignoredFields(ignored: IgnoredFields | undefined): { ignored?: readonly string[] } {
  const names = ignored?.names ?? []
  return names.length === 0 ? {} : { ignored: names }
}

export function causeOf(error: unknown): string {
  const e = VeritError.is(error) && error.cause !== undefined ? error.cause : error
  return e instanceof Error ? (VeritError.is(e) ? e.message : (e.stack ?? e.message)) : String(e)
}

/**
 * Errors as answers, in the shape that OpenAI's clients read: {"error": {message, type, param, code}}, with the code of
 * Verit's own table as `verit`. Only rows that were written for clients (those with a status) show their words. Of
 * every other failure the client learns the request id; the log has the rest.
 */
import { STATUS_CODES } from 'node:http'
import { VeritError } from '../lib/errors.ts'
import { errorTable } from '../lib/error-table.ts'
import type { ErrorCode } from '../lib/errors.ts'

export interface ErrorReply {
  status: number
  headers: Record<string, string>
  /** From the error table: the name in logs, metrics and the audit log. */
  code: ErrorCode
  body: { error: { message: string; type: string; param: string | null; code: string; verit: ErrorCode } }
}

/** Codes on which clients act, in OpenAI's words. All other errors have the code of Verit's table. */
const CLIENT_CODES: Partial<Record<ErrorCode, string>> = {
  VERIT_PROMPT_LENGTH: 'context_length_exceeded',
  VERIT_PROMPT_LIMIT: 'context_length_exceeded'
}

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error'
}
const HEADERS: Readonly<Record<number, Record<string, string>>> = {
  401: { 'www-authenticate': 'Bearer realm="verit"' },
  503: { 'retry-after': '2' }
}
/** No rate takes longer to refill. */
const RETRY_SECONDS = 60

/**
 * Headers about retrying. OpenAI's clients sleep for the whole `Retry-After`, half a day if need be, and the program
 * behind them seems to hang; `x-should-retry: false` makes them fail at once.
 * @param seconds undefined: unknown; infinite: waiting does not help
 */
function waiting(seconds: unknown, status: number): Record<string, string> {
  if (typeof seconds !== 'number') return status === 429 ? { 'retry-after': '1' } : {}
  return {
    ...(Number.isFinite(seconds) && { 'retry-after': String(seconds) }),
    ...(seconds > RETRY_SECONDS && { 'x-should-retry': 'false' })
  }
}

/** @param bodyLimit maximum bytes of a body, for the message of 413 */
export function errorReply(e: unknown, requestId: string, bodyLimit = 0): ErrorReply {
  const error = asVeritError(e, bodyLimit)
  if (error === undefined) {
    const message = `The server met an error of its own. Its log has the details under ${requestId}.`
    const code = 'VERIT_INTERNAL'
    const own = { message, type: 'server_error', param: null, code, verit: code } as const
    return { status: 500, headers: {}, code, body: { error: own } }
  }
  const status = error.status
  const fields = error.fields as { field?: unknown; allowed?: unknown; retryAfter?: unknown }
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error')
  const allow: Record<string, string> = status === 405 ? { allow: String(fields.allowed) } : {}
  // an unknown field is quoted in the message; clients compare the bare name
  const param = error.code === 'VERIT_REQUEST' ? String(fields.field).replace(/^"(.*)"$/, '$1') : null
  const headers = { ...HEADERS[status], ...allow, ...waiting(fields.retryAfter, status) }
  const { code, overHttp: message } = error
  const told = { message, type, param, code: CLIENT_CODES[code] ?? code, verit: code }
  return { status, headers, code, body: { error: told } }
}

/** The error a client may read, or undefined. Fastify's own refusals become rows of the table. */
function asVeritError(e: unknown, bodyLimit: number): VeritError | undefined {
  if (VeritError.is(e, 'VERIT_STORE')) return new VeritError('VERIT_UNAVAILABLE', { what: 'key store' }, e)
  if (VeritError.is(e)) return (errorTable[e.code] as { status?: number }).status === undefined ? undefined : e
  const status =
    e instanceof Error && 'statusCode' in e && 'code' in e && String(e.code).startsWith('FST_')
      ? Number(e.statusCode)
      : 500
  if (status === 413) return new VeritError('VERIT_BODY_TOO_LARGE', { limit: bodyLimit })
  if (status === 415) return new VeritError('VERIT_CONTENT_TYPE', { problem: 'its type is not accepted' })
  if (status >= 400 && status < 500)
    return new VeritError('VERIT_HTTP', { problem: STATUS_CODES[status] ?? 'it is malformed' })
  return undefined
}

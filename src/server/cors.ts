/**
 * Web pages of origins that the operator listed may call: the headers that tell a browser so, and the answer to its
 * preflight, which carries no key.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { HttpRules } from './http-checks.ts'

/** Headers of an answer that a page may read: request id, remaining limits, signature. */
const EXPOSED = [
  'x-request-id',
  'retry-after',
  'ratelimit',
  'ratelimit-policy',
  'signature',
  'signature-input',
  'content-digest',
  ...['limit', 'remaining', 'reset'].flatMap(n => [`x-ratelimit-${n}-requests`, `x-ratelimit-${n}-tokens`])
].join(', ')
/** Headers that a page may send: a key, or a signature. */
const ALLOWED = 'authorization, content-type, content-digest, signature, signature-input'

/**
 * For a request whose Origin has been found on the list; none otherwise. Credentials in the browser's sense (cookies)
 * are never allowed.
 */
export function corsHeaders(raw: IncomingMessage, rules: HttpRules): Record<string, string> {
  const origin = raw.headers.origin
  if (origin === undefined || !rules.allowOrigins.includes(origin)) return {}
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': EXPOSED,
    'cross-origin-resource-policy': 'cross-origin',
    vary: 'Origin'
  }
}

/** Answers a preflight from a listed origin; false for anything else. */
export function answerPreflight(request: FastifyRequest, reply: FastifyReply, rules: HttpRules): boolean {
  const { origin, 'access-control-request-method': method } = request.headers
  if (
    request.method !== 'OPTIONS' ||
    method === undefined ||
    origin === undefined ||
    !rules.allowOrigins.includes(origin)
  )
    return false
  void reply
    .code(204)
    .headers({
      'access-control-allow-methods': 'GET, POST, PATCH',
      'access-control-allow-headers': ALLOWED,
      'access-control-max-age': '600',
      vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'
    })
    .send()
  return true
}

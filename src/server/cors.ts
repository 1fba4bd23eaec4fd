/**
 * Web pages of origins that the operator listed may call: the headers that tell a browser so, and the answer to its preflight, which carries
 * no key.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { HostRules } from './http-checks.ts'

/** For a request whose Origin has been found on the list; none otherwise. Credentials in the browser's sense (cookies) are never allowed. */
export function corsHeaders(raw: IncomingMessage, rules: HostRules): Record<string, string> {
  const origin = raw.headers.origin
  if (origin === undefined || !rules.allowOrigins.includes(origin)) return {}
  return {
    'access-control-allow-origin': origin, 'access-control-expose-headers': 'x-request-id, retry-after',
    'cross-origin-resource-policy': 'cross-origin', vary: 'Origin',
  }
}

/** Answers a preflight from a listed origin; false for anything else. */
export function answerPreflight(request: FastifyRequest, reply: FastifyReply, rules: HostRules): boolean {
  const { origin, 'access-control-request-method': method } = request.headers
  if (request.method !== 'OPTIONS' || method === undefined || origin === undefined || !rules.allowOrigins.includes(origin)) return false
  void reply.code(204).headers({
    'access-control-allow-methods': 'GET, POST', 'access-control-allow-headers': 'authorization, content-type', 'access-control-max-age': '600',
  }).send()
  return true
}

/**
 * The gateway's HTTP side. Order for every request, known address or not: security headers, the shape of the request, Host and Origin, the key and
 * its scope, and only then the body. Nothing here reads a model.
 */
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { VeritError, invariant } from '../lib/errors.ts'
import { authenticate, authorize } from './authenticate.ts'
import type { GatewayContext } from './context.ts'
import { answerPreflight, corsHeaders } from './cors.ts'
import { BODY_LIMIT, errorReply } from './error-reply.ts'
import { checkBodyHeaders, checkHttp, isPlainPath } from './http-checks.ts'
import { routeTable } from './routes.ts'
import type { Route } from './routes.ts'
import { parseStrictJson } from './strict-json.ts'

const SECURITY_HEADERS = {
  'cache-control': 'no-store', 'content-security-policy': "default-src 'none'; frame-ancestors 'none'", 'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin', 'referrer-policy': 'no-referrer', 'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY',
}
const PARSER_STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large', ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}
const HEADER_BYTES = 16 << 10
const HEADERS_MS = 10_000
const REQUEST_MS = 30_000
const KEEP_ALIVE_MS = 5000
const CONNECTIONS = 1024

/** Builds the gateway; it does not listen yet. */
export function buildGateway(context: GatewayContext): FastifyInstance {
  const app = fastify({
    logger: false, bodyLimit: BODY_LIMIT, requestTimeout: REQUEST_MS, keepAliveTimeout: KEEP_ALIVE_MS, forceCloseConnections: 'idle',
    http: { maxHeaderSize: HEADER_BYTES, headersTimeout: HEADERS_MS, connectionsCheckingInterval: 2000 },
    genReqId: () => `req_${randomBytes(12).toString('hex')}`,
    requestIdHeader: false, trustProxy: false, routerOptions: { caseSensitive: true, ignoreTrailingSlash: false }, exposeHeadRoutes: false,
    onProtoPoisoning: 'error', onConstructorPoisoning: 'error', clientErrorHandler: refuseConnection,
    // An address that cannot be decoded comes here past every hook: it is checked like any other, and matches no row.
    frameworkErrors: (_error, request, reply) => {
      try {
        if (admit(context, request, reply)) sendError(refusalOf(request), request, reply)
      } catch (e) {
        sendError(e, request, reply)
      }
    },
  })
  // Node would say "continue" to anyone and refuse other expectations by itself: both are decided where all else is.
  for (const event of ['checkContinue', 'checkExpectation']) app.server.on(event, (...args) => void app.server.emit('request', ...args))
  app.server.maxConnections = CONNECTIONS
  app.decorateRequest('verit')
  app.addHook('onRoute', route => {
    const known = routeTable.some(r => r.method === route.method && r.path === route.url)
    invariant(known, `${String(route.method)} ${route.url} is not in the route table`)
  })
  app.addHook('onRequest', async (request, reply) => (admit(context, request, reply) ? undefined : reply))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseStrictJson(body as Buffer))
    } catch (e) {
      done(e as Error)
    }
  })
  for (const route of routeTable) {
    app.route({ method: route.method, url: route.path, handler: (request, reply) => route.handle(context, request, reply) as Promise<unknown> })
  }
  app.setNotFoundHandler(request => Promise.reject(refusalOf(request)))
  app.setErrorHandler(sendError)
  return app
}

/** Everything that is asked of a request before its body is read; false when it is answered already. @throws VeritError the refusal */
function admit(context: GatewayContext, request: FastifyRequest, reply: FastifyReply): boolean {
  request.verit = { key: undefined, promptTokens: undefined, completionTokens: undefined, error: undefined }
  logWhenDone(context, request, reply)
  void reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id })
  checkHttp(request.raw, context.rules)
  void reply.headers(corsHeaders(request.raw, context.rules))
  if (answerPreflight(request, reply, context.rules)) return false
  const route = request.is404 ? undefined : routeOf(request)
  if (route?.requires !== 'nothing') request.verit.key = authenticate(request.raw, context.store)
  if (route === undefined) throw refusalOf(request)
  if (route.requires !== 'nothing') authorize(request.verit.key!, route.requires)
  checkBodyHeaders(request.raw, route.takesBody)
  if (request.headers.expect !== undefined) reply.raw.writeContinue()
  return true
}

/** The row of a matched request, found anew from what was sent: a path that only matches after decoding has none. */
function routeOf(request: FastifyRequest): Route | undefined {
  const url = request.raw.url ?? ''
  return isPlainPath(url) ? routeTable.find(r => r.method === request.method && r.path === url) : undefined
}

function refusalOf(request: FastifyRequest): VeritError {
  const allowed = routeTable.filter(r => r.path === request.raw.url).map(r => r.method)
  if (allowed.length > 0) return new VeritError('VERIT_METHOD', { allowed: allowed.join(', ') })
  return new VeritError('VERIT_NOT_FOUND', { what: 'such address' })
}

function sendError(e: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, headers, body } = errorReply(e, request.id)
  if (request.verit !== undefined) request.verit.error = e
  // A body that was not read would have to be read to its end before the connection could serve again.
  if (request.body === undefined && request.raw.method !== 'GET') void reply.header('connection', 'close')
  void reply.code(status).headers(headers).send(body)
}

/** What Node's parser refuses never becomes a request: an answer by hand, in the same shape. */
function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const status = PARSER_STATUS[error.code ?? ''] ?? '400 Bad Request'
  const body = JSON.stringify(errorReply(new VeritError('VERIT_HTTP', { problem: status.slice(4).toLowerCase() }), '').body)
  const headers = ['connection: close', 'content-type: application/json; charset=utf-8', `content-length: ${Buffer.byteLength(body)}`]
  socket.end([`HTTP/1.1 ${status}`, ...headers, '', body].join('\r\n'))
}

/** One line a request: no text, no path that the client chose, no key but its public name. */
function logWhenDone({ log }: GatewayContext, request: FastifyRequest, reply: FastifyReply): void {
  const start = performance.now()
  reply.raw.once('close', () => {
    const { key, promptTokens, completionTokens, error } = request.verit
    const code = error === undefined ? undefined : errorReply(error, '').body.error.code
    const status = reply.raw.writableFinished ? reply.raw.statusCode : 499
    const ms = Math.round(performance.now() - start)
    const fields = { id: request.id, status, ms, remote: request.ip, key: key?.id, promptTokens, completionTokens, code }
    const route = routeOf(request)
    log[route?.requires === 'nothing' && code === undefined ? 'debug' : 'info'](fields, `${request.method} ${route?.path ?? '(no route)'}`)
    if (code === 'VERIT_INTERNAL' || code === 'VERIT_UNAVAILABLE') log.error({ id: request.id, cause: causeOf(error) }, 'a request failed')
  })
}

function causeOf(error: unknown): string {
  const e = VeritError.is(error) && error.cause !== undefined ? error.cause : error
  return e instanceof Error ? (VeritError.is(e) ? e.message : (e.stack ?? e.message)) : String(e)
}

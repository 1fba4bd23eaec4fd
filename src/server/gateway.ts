/**
 * The gateway's HTTP side. Order for every request, known address or not: security headers, the shape of the request,
 * Host and Origin, the key and its scope, rates, and only then the body. Routes that need no key are answered before
 * (open-routes.ts). Nothing here reads a model.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { VeritError, invariant } from '../lib/errors.ts'
import { JSON_TYPE, SECURITY_HEADERS } from './answer-headers.ts'
import { authenticate, authorize, checkStillMay } from './authenticate.ts'
import type { Transport } from './connections.ts'
import type { Caller, GatewayContext } from './context.ts'
import { answerPreflight, corsHeaders } from './cors.ts'
import { errorReply } from './error-reply.ts'
import { clientAddress, peerOf } from './forwarded.ts'
import { checkBodyHeaders, checkHttp, isPlainPath } from './http-checks.ts'
import { OpenRoutes } from './open-routes.ts'
import { logWhenDone } from './request-log.ts'
import { declaredBytes, takeAddress, takeRequest } from './rates.ts'
import { readBody } from './read-body.ts'
import { record } from './record.ts'
import { answers, matches, methodsOf } from './route.ts'
import { routeTable } from './routes.ts'
import { signReply } from './signatures.ts'

const PARSER_STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout'
}

const keyRoutes = routeTable.filter(row => row.requires !== 'nothing')

/** A body that arrives this soon after its headers needs no second check of the key. */
const PROMPT_MS = 100

/** Builds the gateway; it does not listen yet. */
export function buildGateway(context: GatewayContext, transport: Transport): FastifyInstance {
  const open = new OpenRoutes(context, transport.hsts)
  const serverFactory: Transport['options']['serverFactory'] = handler =>
    transport.options.serverFactory((raw, response) => {
      if (!open.answer(raw, response)) handler(raw, response)
    })
  const app = fastify({
    ...transport.options,
    serverFactory,
    logger: false,
    genReqId: () => `req_${randomBytes(12).toString('hex')}`,
    requestIdHeader: false,
    trustProxy: false,
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false },
    exposeHeadRoutes: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    clientErrorHandler: (error, socket) => refuseConnection(error, socket, transport),
    // An address that cannot be decoded comes here past every hook: it is checked like any other, and matches no row.
    frameworkErrors: (_error, request, reply) =>
      void refuseAddress(context, transport, request, reply).catch(() => reply.raw.destroy())
  })
  app.decorateRequest('verit')
  app.addHook('onRoute', route => {
    const known = keyRoutes.some(r => methodsOf(r).join() === [route.method].flat().join() && r.path === route.url)
    invariant(known, `${String(route.method)} ${route.url} is not in the route table`)
  })
  app.addHook('onRequest', async (request, reply) =>
    (await admit(context, transport, request, reply)) ? undefined : reply
  )
  app.addHook('preHandler', request => readmit(context, request))
  app.addHook('onSend', (request, reply, payload) => finish(context, request, reply, payload))
  app.removeAllContentTypeParsers()
  // Whether the type is JSON was decided before the body is read (http-checks.ts).
  const parse = (request: FastifyRequest, body: Buffer): Promise<unknown> => readBody(context, request, body)
  app.addContentTypeParser('*', { parseAs: 'buffer' }, parse)
  for (const route of keyRoutes) {
    app.route({
      method: [...methodsOf(route)],
      url: route.path,
      handler: (request, reply) => route.handle(context, request, reply) as Promise<unknown>
    })
  }
  app.setNotFoundHandler(request => Promise.reject(refusalOf(request)))
  app.setErrorHandler((e, request, reply) => sendError(context, e, request, reply))
  return app
}

/** All checks of a request before its body is read; false if it is answered already. @throws VeritError the refusal */
async function admit(
  context: GatewayContext,
  transport: Transport,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<boolean> {
  const { raw } = request
  begin(context, transport, request, reply)
  checkHttp(raw, context.rules)
  request.verit.remote = clientAddress(raw, context.rules)
  void reply.headers(corsHeaders(raw, context.rules))
  if (answerPreflight(request, reply, context.rules)) return false
  const route = request.is404
    ? undefined
    : keyRoutes.find(r => answers(r, request.method) && matches(r.path, raw.url ?? ''))
  request.verit.route = route
  const hasBody = route?.takesBody ?? (raw.headers['content-length'] ?? '0') !== '0'
  const caller = await callerOf(context, request, hasBody)
  request.verit.caller = caller
  transport.proved(raw.socket)
  void context.store.keys.touch([caller.record.id], new Date())
  const bodyBytes = route?.takesBody === true ? declaredBytes(raw.headers, context.config.http.bodyBytes) : 0
  await takeRequest(context, caller.record, request.verit.remote, bodyBytes, reply)
  if (route === undefined) throw refusalOf(request)
  authorize(caller.record, route.requires)
  checkBodyHeaders(raw, route.takesBody)
  if (waitsForContinue(raw)) reply.raw.writeContinue()
  return true
}

/** Whether the client waits for 100 Continue before it sends the body. Not in HTTP/1.0 (RFC 9110 section 10.1.1). */
function waitsForContinue({ headers, httpVersion }: IncomingMessage): boolean {
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  return headers.expect !== undefined && httpVersion !== '1.0' && hasBody
}

/**
 * A slow body may outlast the validity of its key, so the key is checked again. Otherwise open requests could use a
 * key, and even create new ones, after it was revoked.
 */
async function readmit(context: GatewayContext, { verit }: FastifyRequest): Promise<void> {
  const { route, caller, remote, start } = verit
  if (route === undefined || !route.takesBody || caller === undefined || performance.now() - start < PROMPT_MS) return
  verit.caller = { ...caller, record: await checkStillMay(context, caller, route.requires, remote) }
}

/** Callers without a valid key are limited by address. */
async function callerOf(context: GatewayContext, request: FastifyRequest, hasBody: boolean): Promise<Caller> {
  try {
    return await authenticate(context, request, hasBody)
  } catch (e) {
    await takeAddress(context, request.verit.remote)
    throw e
  }
}

function begin(context: GatewayContext, transport: Transport, request: FastifyRequest, reply: FastifyReply): void {
  request.verit = {
    start: performance.now(),
    route: undefined,
    remote: peerOf(request.raw.socket, context.rules.unix) ?? '',
    caller: undefined,
    generation: undefined,
    promptTokens: undefined,
    cachedTokens: undefined,
    completionTokens: undefined,
    error: undefined,
    ignored: undefined,
    counted: false,
    recorded: false,
    entry: undefined
  }
  logWhenDone(context, request, reply)
  void reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id })
  if (transport.hsts !== undefined) void reply.header('strict-transport-security', transport.hsts)
}

async function refuseAddress(
  context: GatewayContext,
  transport: Transport,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<void> {
  try {
    if (await admit(context, transport, request, reply)) throw refusalOf(request)
  } catch (e) {
    const payload = sendingError(context, e, request, reply)
    void reply.type(JSON_TYPE).send(await finish(context, request, reply, JSON.stringify(payload)))
  }
}

/**
 * Before an answer is sent: its entry is on disk, and it is signed if required. An answer that cannot be recorded is
 * not sent.
 */
async function finish(
  context: GatewayContext,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown
): Promise<unknown> {
  if (request.verit === undefined) return payload
  let body = payload
  try {
    await record(context, request, reply.statusCode)
  } catch (e) {
    body = JSON.stringify(sendingError(context, e, request, reply))
  }
  if (typeof body !== 'string' && !Buffer.isBuffer(body) && body !== undefined && body !== null) return body
  if (request.method !== 'HEAD') signReply(context, request, reply, body ?? '')
  else {
    // The length is that of the answer to GET; the sent and signed body is empty (RFC 9110 section 9.3.2).
    void reply.header('content-length', String(Buffer.byteLength(body ?? '')))
    signReply(context, request, reply, '')
  }
  return body
}

function refusalOf(request: FastifyRequest): VeritError {
  const url = request.raw.url ?? ''
  const allowed = isPlainPath(url) ? routeTable.filter(r => matches(r.path, url)).flatMap(r => methodsOf(r)) : []
  const known = request.method === 'OPTIONS' && url === '*' ? routeTable.flatMap(r => methodsOf(r)) : allowed
  if (known.length > 0) return new VeritError('VERIT_METHOD', { allowed: [...new Set(known)].join(', ') })
  return new VeritError('VERIT_NOT_FOUND', { what: 'such address' })
}

function sendError(context: GatewayContext, e: unknown, request: FastifyRequest, reply: FastifyReply): void {
  void reply.send(sendingError(context, e, request, reply))
}

/** Sets status and headers of an error, and gives its body. */
function sendingError(context: GatewayContext, e: unknown, request: FastifyRequest, reply: FastifyReply): object {
  const { status, headers, body } = errorReply(e, request.id, context.config.http.bodyBytes)
  if (request.verit !== undefined) request.verit.error ??= e
  if (VeritError.is(e, 'VERIT_UNAVAILABLE')) context.lastFailure = performance.now()
  // An unread body would have to be read to its end before the connection could serve again. And after a malformed
  // request, the beginning of the next is unknown (RFC 9112, section 11.2).
  if (
    (request.body === undefined && request.raw.method !== 'GET' && request.raw.method !== 'HEAD') ||
    VeritError.is(e, 'VERIT_HTTP') ||
    VeritError.is(e, 'VERIT_EXPECTATION')
  )
    void reply.header('connection', 'close')
  void reply.code(status).headers(headers).removeHeader('content-length')
  return body
}

/** Requests that Node's parser refuses get a handwritten answer in the same form. */
function refuseConnection(error: Error & { code?: string }, socket: Socket, transport: Transport): void {
  // Bytes behind the last request of a connection: they are never read as one, and its answer may still go out.
  if (error.code === 'HPE_CLOSED_CONNECTION' && transport.answers(socket)) return
  // Behind a request that is being answered, a refusal would be taken for its answer, or interrupt it.
  if (error.code === 'ECONNRESET' || !socket.writable || transport.answers(socket)) return void socket.destroy()
  const status = PARSER_STATUS[error.code ?? ''] ?? '400 Bad Request'
  const body = JSON.stringify(
    errorReply(new VeritError('VERIT_HTTP', { problem: status.slice(4).toLowerCase() }), '').body
  )
  const headers = Object.entries({
    ...SECURITY_HEADERS,
    connection: 'close',
    'content-type': JSON_TYPE,
    'content-length': String(Buffer.byteLength(body))
  }).map(([name, value]) => `${name}: ${value}`)
  socket.end([`HTTP/1.1 ${status}`, ...headers, '', body].join('\r\n'))
}

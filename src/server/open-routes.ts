/**
 * The routes without a key, answered before Fastify sees the request: from prepared texts, with only the checks of its
 * shape. Anyone may call them as often as they like, so they must cost almost nothing. Host is not checked: a load
 * balancer's probe has this machine's address there, or (HTTP/1.0) nothing, and these answers reveal nothing that Host
 * protects. They have no entry in the audit log and no line in the log. A query is ignored: monitors add one to bypass
 * caches.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MemoryRateState } from '../store/memory-rate-state.ts'
import { addressGroups } from './address-group.ts'
import { JSON_TYPE, SECURITY_HEADERS } from './answer-headers.ts'
import type { GatewayContext, OpenAnswer, OpenRoute } from './context.ts'
import { corsHeaders } from './cors.ts'
import { errorReply } from './error-reply.ts'
import { clientAddress } from './forwarded.ts'
import { checkBodyHeaders, checkMessage, checkOrigin } from './http-checks.ts'
import { routeTable } from './routes.ts'

/** Buckets that are not full. Beyond this, requests of new addresses are answered as if theirs were empty. */
const MOST_BUCKETS = 10_000
const MINUTE = 60

export class OpenRoutes {
  readonly #context: GatewayContext
  readonly #headers: Readonly<Record<string, string>>
  readonly #routes: ReadonlyMap<string, OpenRoute>
  readonly #rates = new MemoryRateState({ names: MOST_BUCKETS })

  /** @param hsts value of Strict-Transport-Security, where the server speaks TLS */
  constructor(context: GatewayContext, hsts: string | undefined) {
    this.#context = context
    this.#headers = { ...SECURITY_HEADERS, ...(hsts !== undefined && { 'strict-transport-security': hsts }) }
    this.#routes = new Map(routeTable.flatMap(route => (route.requires === 'nothing' ? [[route.path, route]] : [])))
  }

  /** Buckets that are kept: those that are not full, and some that are. */
  get buckets(): number {
    return this.#rates.names
  }

  /** Answers GET and HEAD of an open route; false: the request is for another. */
  answer(raw: IncomingMessage, response: ServerResponse): boolean {
    const [path = ''] = (raw.url ?? '').split('?', 1)
    const route = this.#routes.get(path)
    if (route === undefined || (raw.method !== 'GET' && raw.method !== 'HEAD')) return false
    const { rules, metrics } = this.#context
    const name = `GET ${route.path}`
    try {
      checkMessage(raw, rules, { query: 'ignored' })
      checkOrigin(raw, rules)
      checkBodyHeaders(raw, false)
      // Beyond the limit the answer is still true, because other clients of the address may rely on it, but the
      // connection ends.
      if (!this.#take(clientAddress(raw, rules))) {
        response.shouldKeepAlive = false
        metrics.openLimited()
      }
      const answer = route.tell(this.#context)
      this.#send(raw, response, answer, corsHeaders(raw, rules))
      metrics.openAnswered(name, answer.status)
    } catch (e) {
      const { status, headers, body, code } = errorReply(e, '')
      response.shouldKeepAlive = false // behind a request of the wrong form, nobody knows what is a request
      this.#send(raw, response, { status, type: JSON_TYPE, body: JSON.stringify(body) }, headers)
      metrics.openAnswered(name, status, code)
    }
    return true
  }

  #send(
    raw: IncomingMessage,
    response: ServerResponse,
    { status, type, body, headers }: OpenAnswer,
    more: Record<string, string>
  ): void {
    const length = String(Buffer.byteLength(body))
    response.writeHead(status, {
      ...this.#headers,
      ...more,
      ...headers,
      'content-type': type,
      'content-length': length
    })
    response.end(raw.method === 'HEAD' ? undefined : body)
  }

  /** One request of an address, counted apart from all others; false: it has had its share. */
  #take(remote: string): boolean {
    const { requestsPerMinute } = this.#context.config.addresses
    if (requestsPerMinute === 0) return true
    const groups = addressGroups(remote)
    try {
      const buckets = groups.map(({ name, factor }) => ({
        name,
        limit: requestsPerMinute * factor,
        seconds: MINUTE,
        cost: 1
      }))
      return this.#rates.takeNow(buckets).refused === undefined
    } catch {
      return false // no room for another bucket
    }
  }
}

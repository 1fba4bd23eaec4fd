/**
 * What every request must be before anything else looks at it. A web page that reaches this port through the visitor's browser (DNS rebinding, plain
 * forms, fetch) is stopped here: the Host must be ours and an Origin must be listed. Headers that two programs on the way could read differently are
 * refused (RFC 9110, RFC 9112 sections 6 and 11), and so are those that ask for a method or an address other than the one that was checked. Cookies are
 * never read.
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { VeritError } from '../lib/errors.ts'
import type { ServerConfig } from './config.ts'
import { AddressList, normalAddress } from './forwarded.ts'

export interface HttpRules {
  /** Name or address that the server listens on. */
  readonly host: string
  /** Further host names, lower case, without port. */
  readonly allowHosts: readonly string[]
  /** Origins of web pages that may call, for example "https://app.example". */
  readonly allowOrigins: readonly string[]
  /** Most headers of a request, and most bytes of its address. */
  readonly headers: number
  readonly urlBytes: number
  /** Declared reverse proxies. */
  readonly proxies: AddressList
}

export function httpRules({ listen, http }: ServerConfig): HttpRules {
  return {
    host: listen.host.toLowerCase(), allowHosts: listen.allowHosts.map(h => h.toLowerCase()), allowOrigins: listen.allowOrigins,
    headers: http.headers, urlBytes: http.urlBytes, proxies: new AddressList(listen.trustedProxies),
  }
}

/** Headers that may come once only: two of them, and two programs may each believe another. */
const SINGLE = new Set([
  'host', 'authorization', 'content-type', 'content-length', 'content-encoding', 'transfer-encoding', 'origin', 'expect', 'connection',
  'signature', 'signature-input', 'content-digest', 'x-forwarded-for', 'access-control-request-method',
])
/** Headers by which a request would be another than its first line says, or which the JavaScript object of headers cannot hold. */
const REFUSED = new Set([
  'x-http-method-override', 'x-http-method', 'x-method-override', 'x-original-url', 'x-rewrite-url', 'trailer', 'upgrade', '__proto__', 'constructor', 'prototype',
])
/** What a Connection header may name. Naming another header would make the next proxy drop it: Authorization, or a signature. */
const CONNECTION = new Set(['close', 'keep-alive', 'te'])
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const PATH = /^(?:\/\.well-known)?(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)

/** @throws VeritError VERIT_HTTP, VERIT_FORBIDDEN */
export function checkHttp(raw: IncomingMessage, rules: HttpRules): void {
  if (raw.httpVersion !== '1.1' && raw.httpVersion !== '1.0') throw http('it is neither HTTP/1.1 nor HTTP/1.0')
  checkHeaders(raw, rules)
  const url = raw.url ?? ''
  if (url.length > rules.urlBytes) throw http(`its address is longer than ${rules.urlBytes} bytes`)
  if (url.includes('?')) throw http('this server takes no query; a key belongs in the Authorization header')
  const { expect, connection, 'transfer-encoding': transfer, 'content-length': length } = raw.headers
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') throw http('it expects what this server does not do')
  if (transfer !== undefined && transfer.toLowerCase() !== 'chunked') throw http('its Transfer-Encoding is not "chunked" alone')
  if (transfer !== undefined && length !== undefined) throw http('it has a Content-Length and a Transfer-Encoding')
  if (transfer !== undefined && raw.httpVersion === '1.0') throw http('HTTP/1.0 has no Transfer-Encoding')
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw http('its Content-Length is not a number')
  if (connection !== undefined && !connection.split(',').every(c => CONNECTION.has(c.trim().toLowerCase()))) {
    throw http('its Connection header names more than close, keep-alive and TE')
  }
  checkHost(raw.headers.host, rules)
  const origin = raw.headers.origin
  if (origin !== undefined && !rules.allowOrigins.includes(origin)) {
    throw new VeritError('VERIT_FORBIDDEN', { problem: 'it comes from a web page whose origin is not allowed (--allow-origin)' })
  }
}

/** Every header as it was sent: the parser has already dropped or joined some in `raw.headers`. */
function checkHeaders(raw: IncomingMessage, { headers, proxies }: HttpRules): void {
  const { rawHeaders } = raw
  if (rawHeaders.length > 2 * headers) throw http(`it has more than ${headers} headers`)
  const seen = new Set<string>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    if (!TOKEN.test(name)) throw http('the name of a header has characters that names cannot have')
    if (!VALUE.test(rawHeaders[i + 1]!)) throw http(`its ${name.slice(0, 60)} header has characters that values cannot have`)
    if (REFUSED.has(name)) throw http(`the ${name} header is not accepted`)
    if (seen.has(name) && SINGLE.has(name) && !(name === 'x-forwarded-for' && isProxy(raw, proxies))) throw http(`it has more than one ${name} header`)
    seen.add(name)
  }
}

/** Proxies in a row may each add a line of their own. */
function isProxy(raw: IncomingMessage, proxies: AddressList): boolean {
  const peer = normalAddress(raw.socket.remoteAddress ?? '')
  return peer !== undefined && proxies.has(peer)
}

/** On loopback: loopback's own names. Elsewhere: any address, which no DNS answer can fake, and the names that were listed. */
function checkHost(header: string | undefined, rules: HttpRules): void {
  const name = hostName(header ?? '')
  if (name !== '') {
    if (name === rules.host || name === 'localhost' || rules.allowHosts.includes(name)) return
    if (isLoopback(rules.host) ? isLoopback(name) : isIP(name) !== 0) return
  }
  throw new VeritError('VERIT_FORBIDDEN', { problem: 'its Host header does not name this server (--allow-host)' })
}

/** Host without port and brackets, in lower case; '' where the header is malformed. */
function hostName(header: string): string {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/.exec(header.toLowerCase())
  return match?.[1] ?? match?.[2] ?? ''
}

/** Whether a path is written in the one way that the route table knows: no escapes, dots, empty segments or parameters. */
export function isPlainPath(url: string): boolean {
  return PATH.test(url)
}

/** For a route that reads a body, or one that must not have one. @throws VeritError VERIT_CONTENT_TYPE, VERIT_HTTP */
export function checkBodyHeaders(raw: IncomingMessage, takesBody: boolean): void {
  const { 'content-type': type, 'content-encoding': encoding, 'content-length': length, 'transfer-encoding': transfer } = raw.headers
  if (!takesBody) {
    if (transfer !== undefined || (length !== undefined && length !== '0')) throw http('this address takes no body')
    return
  }
  if (encoding !== undefined) throw new VeritError('VERIT_CONTENT_TYPE', { problem: 'it is compressed' })
  if (type === undefined || !/^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i.test(type)) {
    throw new VeritError('VERIT_CONTENT_TYPE', { problem: 'its Content-Type is not application/json' })
  }
}

const http = (problem: string): VeritError => new VeritError('VERIT_HTTP', { problem })

/**
 * The shape of a request, checked before anything else reads it. A web page that reaches this port through the
 * visitor's browser (DNS rebinding, plain forms, fetch) is stopped here: Host must name this server and Origin must be
 * listed. Headers that two programs on the way could read differently are refused (RFC 9110; RFC 9112 sections 6 and
 * 11), and so are those that name another method or address than the checked one. Everything else that the standards
 * let a server ignore is ignored; docs/evidence/threat-model.md lists where Verit is stricter, and why. Cookies are
 * never read.
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { contains, parseAddress, parseBlock } from '../lib/address.ts'
import { VeritError } from '../lib/errors.ts'
import type { ServerConfig } from './config.ts'
import { contentTypeProblem } from './content-type.ts'
import { ProxyList } from './forwarded.ts'

export interface HttpRules {
  /** Name or address that the server listens on; a Unix socket counts as 127.0.0.1. */
  readonly host: string
  /** Further host names, lower case, without port. */
  readonly allowHosts: readonly string[]
  /** Origins of web pages that may call, for example "https://app.example". */
  readonly allowOrigins: readonly string[]
  /** Maximum number of headers, and maximum bytes of the target. */
  readonly headers: number
  readonly urlBytes: number
  /** Declared reverse proxies. */
  readonly proxies: ProxyList
  /** Whether the server listens on a Unix socket. */
  readonly unix: boolean
}

export function httpRules({ listen, http }: ServerConfig): HttpRules {
  const unix = listen.socket !== ''
  return {
    host: unix ? '127.0.0.1' : listen.host.toLowerCase(),
    allowHosts: listen.allowHosts.map(h => h.toLowerCase()),
    allowOrigins: listen.allowOrigins,
    headers: http.headers,
    urlBytes: http.urlBytes,
    proxies: new ProxyList(listen.trustedProxies),
    unix
  }
}

/** Headers that may come once only: of two of them, two programs may each believe another. */
const SINGLE = new Set([
  'host',
  'authorization',
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'origin',
  'expect',
  'signature',
  'signature-input',
  'content-digest',
  'access-control-request-method'
])
/**
 * Headers that name another method or address than the first line, or that a JavaScript object of headers cannot hold.
 */
const REFUSED = new Set([
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
  '__proto__',
  'constructor',
  'prototype'
])
/**
 * Header names that a Connection header may not list: a proxy that obeyed it would drop the header with the key, or one
 * that decides how the request is read. RFC 9110 section 7.6.1 forbids a client to name headers meant for the server.
 * Other names are ignored.
 */
const END_TO_END = new Set([
  ...SINGLE,
  'cookie',
  'via',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip'
])
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const PATH = /^(?:\/\.well-known)?(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/

const LOOPBACK_V4 = parseBlock('127.0.0.0/8')!

/** `localhost`, 127.0.0.0/8 and ::1, however written; not an IPv4 address written as IPv6. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true
  const address = parseAddress(host)
  if (address === undefined) return false
  return isIP(host) === 4 ? contains(LOOPBACK_V4, address) : address.version === 6 && address.value === 1n
}

/** All checks of a request before its key. @throws VeritError VERIT_HTTP, VERIT_EXPECTATION, VERIT_FORBIDDEN */
export function checkHttp(raw: IncomingMessage, rules: HttpRules): void {
  checkMessage(raw, rules)
  checkHost(raw, rules)
  checkOrigin(raw, rules)
}

/**
 * The framing, the headers and the target.
 * @param query whether a query is refused or ignored. Default: refused.
 * @throws VeritError VERIT_HTTP, VERIT_EXPECTATION
 */
export function checkMessage(
  raw: IncomingMessage,
  rules: HttpRules,
  { query = 'refused' }: { query?: 'refused' | 'ignored' } = {}
): void {
  if (raw.httpVersion !== '1.1' && raw.httpVersion !== '1.0') throw http('its version is neither HTTP/1.1 nor HTTP/1.0')
  checkHeaders(raw, rules)
  const url = raw.url ?? ''
  if (url.length > rules.urlBytes) throw http(`its target is longer than ${rules.urlBytes} bytes`)
  if (/^[a-z][a-z0-9+.-]*:/i.test(url))
    throw http('its target is a URL that does not name the same server as its Host header')
  if (query === 'refused' && url.includes('?'))
    throw http('this server takes no query; send the key in the Authorization header')
  const { expect, connection, 'transfer-encoding': transfer, 'content-length': length } = raw.headers
  if (transfer !== undefined && transfer.toLowerCase() !== 'chunked')
    throw http('its Transfer-Encoding is not "chunked" alone')
  if (transfer !== undefined && length !== undefined) throw http('it has both a Content-Length and a Transfer-Encoding')
  if (transfer !== undefined && raw.httpVersion === '1.0') throw http('HTTP/1.0 has no Transfer-Encoding')
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw http('its Content-Length is not a number')
  if (connection !== undefined) checkConnection(connection)
  if (expect !== undefined && raw.httpVersion !== '1.0' && expect.toLowerCase() !== '100-continue')
    throw new VeritError('VERIT_EXPECTATION', {})
}

/** Every header as sent: the parser has dropped or joined some in `raw.headers`. */
function checkHeaders(raw: IncomingMessage, rules: HttpRules): void {
  const { rawHeaders } = raw
  if (rawHeaders.length > 2 * rules.headers) throw http(`it has more than ${rules.headers} headers`)
  const seen = new Set<string>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase()
    if (!TOKEN.test(name)) throw http('the name of a header has invalid characters')
    if (!VALUE.test(rawHeaders[i + 1]!)) throw http(`its ${name.slice(0, 60)} header has invalid characters`)
    if (REFUSED.has(name)) throw http(`the ${name} header is not accepted`)
    if (seen.has(name) && SINGLE.has(name)) throw http(`it has more than one ${name} header`)
    seen.add(name)
  }
}

/** A list of names, some of which may be empty (RFC 9110 section 5.6.1.2). */
function checkConnection(value: string): void {
  for (const part of value.split(',')) {
    const name = part.trim().toLowerCase()
    if (name !== '' && !TOKEN.test(name)) throw http('its Connection header is not a list of names')
    if (END_TO_END.has(name)) throw http(`its Connection header names ${name}, which is meant for this server`)
  }
}

/**
 * On loopback: loopback's own names. Elsewhere: any address, which no DNS answer can fake, and the names that were
 * listed. HTTP/1.0 need not have a Host, and no browser sends a request without one.
 */
function checkHost(raw: IncomingMessage, rules: HttpRules): void {
  const header = raw.headers.host
  if (header === undefined || (header === '' && raw.httpVersion === '1.0')) {
    if (raw.httpVersion === '1.0') return
    throw http('it has no Host header')
  }
  const name = hostName(header)
  if (name !== '') {
    if (name === rules.host || name === 'localhost' || rules.allowHosts.includes(name)) return
    if (isLoopback(rules.host) ? isLoopback(name) : isIP(name) !== 0) return
  }
  throw new VeritError('VERIT_FORBIDDEN', { problem: 'its Host header does not name this server (--allow-host)' })
}

/** @throws VeritError VERIT_FORBIDDEN */
export function checkOrigin(raw: IncomingMessage, rules: HttpRules): void {
  const { origin } = raw.headers
  if (origin !== undefined && !rules.allowOrigins.includes(origin)) {
    throw new VeritError('VERIT_FORBIDDEN', {
      problem: 'it comes from a web page whose origin is not allowed (--allow-origin)'
    })
  }
}

/**
 * Host without port and brackets, in lower case; '' where the header is malformed. The port may be empty (RFC 3986
 * section 3.2.3).
 */
function hostName(header: string): string {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::(\d{0,5}))?$/.exec(header.toLowerCase())
  if (match === null || Number(match[3] ?? 0) > 65535) return ''
  const [, bracketed, name = ''] = match
  if (bracketed === undefined) return name
  return isIP(bracketed) === 6 ? bracketed : ''
}

/**
 * Whether a path is written in the one way that the route table knows: no escapes, dots, empty segments or parameters.
 */
export function isPlainPath(url: string): boolean {
  return PATH.test(url)
}

/** For a route that reads a body, or one that must not have one. @throws VeritError VERIT_CONTENT_TYPE, VERIT_HTTP */
export function checkBodyHeaders(raw: IncomingMessage, takesBody: boolean): void {
  const {
    'content-type': type,
    'content-encoding': encoding,
    'content-length': length,
    'transfer-encoding': transfer
  } = raw.headers
  if (!takesBody) {
    if (transfer !== undefined || (length !== undefined && length !== '0')) throw http('this address takes no body')
    return
  }
  if (encoding !== undefined) throw new VeritError('VERIT_CONTENT_TYPE', { problem: 'it is compressed' })
  const problem = contentTypeProblem(type)
  if (problem !== undefined) throw new VeritError('VERIT_CONTENT_TYPE', { problem })
}

const http = (problem: string): VeritError => new VeritError('VERIT_HTTP', { problem })

/**
 * What every request must be before anything else looks at it. A web page that reaches this port through the visitor's browser (DNS rebinding, plain
 * forms, fetch) is stopped here: the Host must be ours and an Origin must be listed. Headers that intermediaries could read differently are refused.
 */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { VeritError } from '../lib/errors.ts'

export interface HostRules {
  /** Name or address that the server listens on. */
  host: string
  /** Further host names, lower case, without port. */
  allowHosts: readonly string[]
  /** Origins of web pages that may call, for example "https://app.example". */
  allowOrigins: readonly string[]
}

const MOST_HEADERS = 64
/** Headers that may come once only: two of them, and two programs may each believe another. */
const SINGLE = new Set([
  'host', 'authorization', 'content-type', 'content-length', 'content-encoding', 'transfer-encoding', 'origin', 'expect', 'connection',
])
const PATH = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/

export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)

/** @throws VeritError VERIT_HTTP, VERIT_FORBIDDEN */
export function checkHttp(raw: IncomingMessage, rules: HostRules): void {
  const seen = new Set<string>()
  if (raw.rawHeaders.length > 2 * MOST_HEADERS) throw http(`it has more than ${MOST_HEADERS} headers`)
  for (let i = 0; i < raw.rawHeaders.length; i += 2) {
    const name = raw.rawHeaders[i]!.toLowerCase()
    if (SINGLE.has(name) && seen.has(name)) throw http(`it has more than one ${name} header`)
    seen.add(name)
  }
  if (raw.url?.includes('?') === true) throw http('this server takes no query; a key belongs in the Authorization header')
  const { upgrade, expect, 'transfer-encoding': transfer } = raw.headers
  if (upgrade !== undefined) throw http('upgrades are not offered')
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') throw http('it expects what this server does not do')
  if (transfer !== undefined && transfer.toLowerCase() !== 'chunked') throw http('its Transfer-Encoding is not "chunked" alone')
  checkHost(raw.headers.host, rules)
  const origin = raw.headers.origin
  if (origin !== undefined && !rules.allowOrigins.includes(origin)) {
    throw new VeritError('VERIT_FORBIDDEN', { problem: 'it comes from a web page whose origin is not allowed (--allow-origin)' })
  }
}

/** On loopback: loopback's own names. Elsewhere: any address, which no DNS answer can fake, and the names that were listed. */
function checkHost(header: string | undefined, rules: HostRules): void {
  const name = hostName(header ?? '')
  if (name === rules.host.toLowerCase() || name === 'localhost' || rules.allowHosts.includes(name)) return
  if (isLoopback(rules.host) ? isLoopback(name) : isIP(name) !== 0) return
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

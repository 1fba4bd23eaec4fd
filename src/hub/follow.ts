/**
 * Requests a file and follows redirects, at most five, each checked like the first address. A token goes to the hub's
 * origin only. A download that began on a public address never continues on a private one, even if the user allowed
 * those, nor from https to http.
 */
import type { IncomingMessage } from 'node:http'
import { VeritError } from '../lib/errors.ts'
import { parseUrl } from './model-source.ts'
import { request } from './request.ts'
import type { RequestRules } from './request.ts'

const REDIRECTS = 5

export interface Asked {
  readonly url: URL
  /** For the origin of `url` only. */
  readonly token?: string
  /** First wanted byte, with the entity tag of the existing bytes (RFC 9110, sections 13.1.5 and 14.2). */
  readonly from?: { readonly byte: number; readonly etag: string }
}

/** The hub's statements about a file in the headers of its own answers, not in those of a host that it redirects to. */
export interface HubFacts {
  /** Commit of the repository, 40 hexadecimal digits. */
  commit?: string
  /** Size in bytes of a large file. */
  size?: number
  /** SHA-256 of a large file, hexadecimal. */
  sha256?: string
}

export interface Found {
  /** Status 200, 206, 416, 429 or another that is not a redirect. */
  readonly response: IncomingMessage
  readonly url: URL
  readonly facts: HubFacts
}

/** @throws VeritError VERIT_PULL_ADDRESS, VERIT_PULL_REDIRECT, VERIT_PULL_CONNECTION */
export async function follow(asked: Asked, rules: RequestRules): Promise<Found> {
  const facts: HubFacts = {}
  let url = asked.url
  let allowPrivate = rules.allowPrivate
  for (let hops = 0; ; hops++) {
    const { response, fromPrivate } = await request(url, headersFor(asked, url), { ...rules, allowPrivate })
    if (url.origin === asked.url.origin) note(facts, response)
    const status = response.statusCode ?? 0
    if (![301, 302, 303, 307, 308].includes(status)) return { response, url, facts }
    response.on('error', () => undefined).destroy()
    if (hops === REDIRECTS)
      throw new VeritError('VERIT_PULL_REDIRECT', { host: url.host, problem: `more than ${REDIRECTS} redirects` })
    url = next(url, response.headers.location)
    allowPrivate &&= fromPrivate
  }
}

function headersFor(asked: Asked, url: URL): Record<string, string> {
  return {
    ...(asked.token !== undefined && url.origin === asked.url.origin && { authorization: `Bearer ${asked.token}` }),
    ...(asked.from !== undefined && { range: `bytes=${asked.from.byte}-`, 'if-range': asked.from.etag })
  }
}

/** Scheme, host and addresses of the target are checked at its request. */
function next(from: URL, location: string | undefined): URL {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_PULL_REDIRECT', { host: from.host, problem })
  }
  if (location === undefined) return refuse('a redirect that names no address')
  const to = parseUrl(location, from) ?? refuse('a redirect to something that is not a plain https address')
  if (from.protocol === 'https:' && to.protocol !== 'https:') refuse('a redirect from https to http')
  return to
}

function note(facts: HubFacts, response: IncomingMessage): void {
  const one = (name: string): string => String(response.headers[name] ?? '')
  const commit = one('x-repo-commit')
  if (/^[0-9a-f]{40}$/.test(commit)) facts.commit = commit
  if (/^\d{1,15}$/.test(one('x-linked-size'))) facts.size = Number(one('x-linked-size'))
  const etag = /^"([0-9a-f]{64})"$/.exec(one('x-linked-etag'))
  if (etag !== null) facts.sha256 = etag[1]!
}

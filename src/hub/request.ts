/**
 * One request to an address that was checked: the name is resolved once, every address it has is judged, and the
 * connection goes to those addresses and no others, so that a name server that answers differently a moment later
 * changes nothing (DNS rebinding). No proxy, cookie, cache, kept connection or decompression; settings of the
 * environment that would weaken TLS do not hold here.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { formatAddress, parseAddress } from '../lib/address.ts'
import { VeritError } from '../lib/errors.ts'
import { isLoopbackAddress, notPublic } from './public-address.ts'

const HEADER_BYTES = 32_768

export interface RequestRules {
  /** Whether addresses that are not public may be asked, and http on loopback. */
  readonly allowPrivate: boolean
  /** Milliseconds for name, connection, TLS and the head of the answer together. Default 30,000. */
  readonly connectMs?: number
  /** Milliseconds in which some byte must come, or go. Default 30,000. */
  readonly idleMs?: number
  /** Milliseconds for the head of the answer after a body was sent. Default 300,000: a hub works before it answers. */
  readonly answerMs?: number
  /** Addresses of a name. Default: the system's. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
  /** Why an address may not be asked unless `allowPrivate`. Default: `notPublic`. */
  readonly judgeAddress?: (address: string) => string | undefined
  /** Certificates of authorities in PEM, instead of the default ones. */
  readonly ca?: string
  /** Ends the request. */
  readonly signal?: AbortSignal
}

/** The request body. */
export interface Outgoing {
  readonly method: 'POST' | 'PUT'
  readonly chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>
  /** Bytes of all chunks. */
  readonly bytes: number
}

export interface Answer {
  readonly response: IncomingMessage
  /** Whether it came from an address that is not public. */
  readonly fromPrivate: boolean
}

const systemAddresses = async (host: string): Promise<readonly string[]> =>
  (await systemLookup(host, { all: true })).map(a => a.address)
const bare = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '')
const refuse = (host: string, problem: string): never => {
  throw new VeritError('VERIT_PULL_ADDRESS', { host, problem })
}

/** Judges scheme and addresses. @throws VeritError VERIT_PULL_ADDRESS */
async function judge(url: URL, rules: RequestRules): Promise<{ addresses: string[]; fromPrivate: boolean }> {
  const host = bare(url)
  const literal = isIP(host) !== 0
  if (
    url.protocol !== 'https:' &&
    !(rules.allowPrivate && (host === 'localhost' || (literal && isLoopbackAddress(host))))
  ) {
    refuse(url.host, 'it would be asked over http, without encryption')
  }
  const problemOf = rules.judgeAddress ?? notPublic
  const found = literal ? [host] : await (rules.resolve ?? systemAddresses)(host)
  const addresses = found.map(text => {
    const address = parseAddress(text) ?? refuse(url.host, 'its name stands for something that is no address')
    const problem = problemOf(text)
    if (problem !== undefined && !rules.allowPrivate)
      refuse(url.host, literal ? `it is ${problem}` : `its name stands for ${formatAddress(address)}, ${problem}`)
    if (url.protocol === 'http:' && !isLoopbackAddress(text))
      refuse(url.host, 'it would be asked over http, without encryption')
    return formatAddress(address)
  })
  if (addresses.length === 0) refuse(url.host, 'its name stands for no address')
  return { addresses, fromPrivate: addresses.some(a => problemOf(a) !== undefined) }
}

/**
 * Resolves when the head of the answer has arrived, whatever its status. The caller must read or destroy the body.
 * @throws VeritError VERIT_PULL_ADDRESS, VERIT_PULL_CONNECTION
 */
export async function request(
  url: URL,
  headers: Readonly<Record<string, string>>,
  rules: RequestRules,
  outgoing?: Outgoing
): Promise<Answer> {
  const deadline = AbortSignal.timeout(rules.connectMs ?? 30_000)
  try {
    const { addresses, fromPrivate } = await before(deadline, judge(url, rules))
    return { response: await send(url, headers, addresses, rules, deadline, outgoing), fromPrivate }
  } catch (e) {
    throw rules.signal?.aborted === true ? rules.signal.reason : connectionError(url, e)
  }
}

const before = <T>(signal: AbortSignal, work: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    work.then(resolve, reject)
  })

function send(
  url: URL,
  headers: Readonly<Record<string, string>>,
  addresses: readonly string[],
  rules: RequestRules,
  deadline: AbortSignal,
  outgoing: Outgoing | undefined
): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:'
  const list = addresses.map(address => ({ address, family: isIP(address) }))
  const options: RequestOptions & { ca?: string; rejectUnauthorized: true } = {
    method: outgoing?.method ?? 'GET',
    headers: {
      'user-agent': 'verit',
      accept: '*/*',
      'accept-encoding': 'identity',
      connection: 'close',
      ...headers,
      ...(outgoing !== undefined && { 'content-length': outgoing.bytes })
    },
    agent: secure ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false }),
    maxHeaderSize: HEADER_BYTES,
    rejectUnauthorized: true,
    lookup: (_host, how, done) => (how.all === true ? done(null, list) : done(null, list[0]!.address, list[0]!.family)),
    ...(rules.ca !== undefined && { ca: rules.ca }),
    ...(rules.signal !== undefined && { signal: rules.signal })
  }
  return new Promise((resolve, reject) => {
    const sent = secure ? httpsRequest(url, options) : httpRequest(url, options)
    const late = (): void => void sent.destroy(deadline.reason as Error)
    deadline.addEventListener('abort', late, { once: true })
    const idleMs = rules.idleMs ?? 30_000
    sent.setTimeout(idleMs, () => sent.destroy(new Error('nothing came for too long')))
    let slow: NodeJS.Timeout | undefined
    sent.on('socket', socket =>
      socket.once('connect', () => {
        const peer = parseAddress(socket.remoteAddress ?? '')
        if (peer === undefined || !addresses.includes(formatAddress(peer)))
          sent.destroy(new Error('the connection went to another address'))
      })
    )
    sent.on('error', reject)
    sent.on('close', () => clearTimeout(slow))
    sent.on('response', response => {
      deadline.removeEventListener('abort', late)
      clearTimeout(slow)
      sent.setTimeout(idleMs)
      resolve(response)
    })
    if (outgoing === undefined) return void sent.end()
    // a body takes the time it takes, as long as bytes go; then the answer has its own
    sent.on('socket', socket =>
      socket.once(secure ? 'secureConnect' : 'connect', () => deadline.removeEventListener('abort', late))
    )
    sent.on('finish', () => {
      sent.setTimeout(0)
      slow = setTimeout(() => sent.destroy(new Error('no answer came in time')), rules.answerMs ?? 300_000)
    })
    pipeline(Readable.from(outgoing.chunks), sent).catch(reject)
  })
}

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'its name could not be looked up',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was cut off',
  EPIPE: 'the connection was cut off',
  HPE_HEADER_OVERFLOW: 'the head of its answer is too large',
  TimeoutError: 'no answer came in time'
}

/**
 * Description of an error without paths and queries, which may be secrets in a redirect. Errors of the table are
 * returned unchanged.
 */
export function connectionError(url: URL, e: unknown): unknown {
  if (VeritError.is(e) || !(e instanceof Error)) return e
  const code = 'code' in e && typeof e.code === 'string' ? e.code : e.name
  return new VeritError(
    'VERIT_PULL_CONNECTION',
    { host: url.host, reason: REASONS[code] ?? (code === 'Error' ? e.message : code) },
    e
  )
}

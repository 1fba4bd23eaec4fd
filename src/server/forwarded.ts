/**
 * The client address behind a reverse proxy. X-Forwarded-For counts only on a connection from a trusted proxy, and only
 * the part that trusted proxies wrote: from the right, the first address that is not trusted. The client wrote
 * everything left of it. Other headers (Forwarded, X-Real-IP, X-Forwarded-Proto, ...) are not read.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { contains, formatAddress, parseAddress, parseBlock } from '../lib/address.ts'
import type { AddressBlock } from '../lib/address.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { UNIX } from './address-group.ts'

/**
 * The canonical form of an address (lib/address.ts), without the zone of a link-local peer. Undefined for other text.
 */
export function normalAddress(text: string): string | undefined {
  const address = parseAddress(text.replace(/%[A-Za-z0-9._~-]+$/, ''))
  return address === undefined ? undefined : formatAddress(address)
}

/** Addresses and CIDR blocks. */
export class AddressList {
  #blocks: readonly AddressBlock[]

  /** @param entries each acceptable to `isEntry` */
  constructor(entries: readonly string[]) {
    this.#blocks = entries.map(entry => {
      const block = parseBlock(entry)
      invariant(block !== undefined, 'a list of addresses holds something else')
      return block
    })
  }

  /** `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`. A block of no bits is refused: it would make any client a proxy. */
  static isEntry(text: string): boolean {
    const block = parseBlock(text)
    return block !== undefined && block.bits > 0
  }

  has(address: string): boolean {
    if (this.#blocks.length === 0) return false
    const parsed = parseAddress(address)
    return parsed !== undefined && this.#blocks.some(block => contains(block, parsed))
  }
}

/** Reverse proxies that the operator trusts: addresses, blocks, and `unix` for whoever connects to the Unix socket. */
export class ProxyList {
  readonly #addresses: AddressList
  readonly #unix: boolean

  /** @param entries each acceptable to `isEntry` */
  constructor(entries: readonly string[]) {
    this.#addresses = new AddressList(entries.filter(entry => entry !== UNIX))
    this.#unix = entries.includes(UNIX)
  }

  static isEntry(text: string): boolean {
    return text === UNIX || AddressList.isEntry(text)
  }

  /** @param peer as peerOf gives it */
  has(peer: string): boolean {
    return peer === UNIX ? this.#unix : this.#addresses.has(peer)
  }
}

/**
 * The other end of a connection: its address as normalAddress writes it, or `unix`. Undefined: the connection is gone
 * already.
 * @param unix whether the server listens on a Unix socket, whose clients have no address
 */
export function peerOf({ remoteAddress }: Pick<Socket, 'remoteAddress'>, unix: boolean): string | undefined {
  return unix ? UNIX : normalAddress(remoteAddress ?? '')
}

/** Longest chain of proxies that is followed. */
const MOST_HOPS = 32

/**
 * The client's address in the form of normalAddress, or `unix`; '' if the connection has closed.
 * @throws VeritError VERIT_HTTP if a trusted proxy sends something other than a list of addresses
 */
export function clientAddress(raw: IncomingMessage, { proxies, unix }: { proxies: ProxyList; unix: boolean }): string {
  const peer = peerOf(raw.socket, unix)
  if (peer === undefined || !proxies.has(peer)) return peer ?? ''
  const header = raw.headers['x-forwarded-for']
  if (header === undefined) return peer
  const hops = (typeof header === 'string' ? header : header.join(',')).split(',')
  let client = peer
  for (let i = hops.length - 1; i >= 0; i--) {
    if (hops.length - i > MOST_HOPS) throw bad(`more than ${MOST_HOPS} proxies`)
    const address = normalAddress(withoutPort(hops[i]!.trim()))
    if (address === undefined) throw bad('something that is no address')
    client = address
    if (!proxies.has(address)) break
  }
  return client
}

/** Some proxies write `192.0.2.1:5678` or `[2001:db8::1]:5678`. */
const withoutPort = (text: string): string => {
  const match = /^(?:\[([^\]]*)\]|(\d+\.\d+\.\d+\.\d+))(?::\d{1,5})?$/.exec(text)
  return match?.[1] ?? match?.[2] ?? text
}

const bad = (what: string): VeritError => new VeritError('VERIT_HTTP', { problem: `its X-Forwarded-For names ${what}` })

/**
 * The groups that limits of addresses count a client in. A limit for each address alone bounds nobody who has many:
 * every user of a machine owns
 * 127.0.0.0/8, and an IPv6 customer owns a /56 or a /48. So each address is counted in several groups, and wider groups
 * have larger limits.
 */
import { blockAround, contains, formatAddress, formatBlock, parseAddress, parseBlock } from '../lib/address.ts'
import type { Address, AddressBlock } from '../lib/address.ts'

export interface AddressGroup {
  /** For example `192.0.2.1`, `192.0.2.0/24`, `2001:db8:1::/48`, `loopback` or `unix`. */
  readonly name: string
  /** How many times the limit of one address all addresses of the group have together. */
  readonly factor: number
}

/** The peer of a connection to a Unix socket: it has no address. */
export const UNIX = 'unix'
const LOOPBACK = 'loopback'

/** Prefix lengths, narrowest group first, and their factors. */
const LEVELS: Readonly<Record<4 | 6, readonly (readonly [bits: number, factor: number])[]>> = {
  4: [
    [32, 1],
    [24, 8]
  ],
  6: [
    [64, 1],
    [56, 2],
    [48, 4]
  ]
}
/** Blocks in which refusals are counted when there are too many sources to count each. */
const WIDE_BITS = { 4: 16, 6: 32 } as const

const LOOPBACK_V4 = parseBlock('127.0.0.0/8')!
const LOOPBACK_V6 = parseAddress('::1')!

const isLoopback = (address: Address): boolean =>
  contains(LOOPBACK_V4, address) || (address.version === 6 && address.value === LOOPBACK_V6.value)

/**
 * The groups of an address, narrowest first: an IPv4 address and its /24; an IPv6 /64, /56 and /48; all of loopback
 * (127.0.0.0/8, ::1) as one group. Other text, such as `unix`, is its own group.
 */
export function addressGroups(text: string): readonly AddressGroup[] {
  const address = parseAddress(text)
  if (address === undefined) return [{ name: text, factor: 1 }]
  if (isLoopback(address)) return [{ name: LOOPBACK, factor: 1 }]
  return LEVELS[address.version].map(([bits, factor]) => ({ name: nameOf(blockAround(address, bits)), factor }))
}

/** The narrowest group: `192.0.2.1`, `2001:db8:1:2::/64`, `loopback`, `unix`. */
export const addressGroup = (text: string): string => addressGroups(text)[0]!.name

/** The widest block in summaries of refusals: a /16 (IPv4), a /32 (IPv6), loopback. */
export function wideGroup(text: string): string {
  const address = parseAddress(text)
  if (address === undefined) return text
  return isLoopback(address) ? LOOPBACK : nameOf(blockAround(address, WIDE_BITS[address.version]))
}

const nameOf = (block: AddressBlock): string =>
  block.version === 4 && block.bits === 32 ? formatAddress(block) : formatBlock(block)

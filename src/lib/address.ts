/**
 * IP addresses and blocks of them in CIDR notation (RFC 4632, RFC 4291). An IPv4 address mapped into IPv6
 * (::ffff:192.0.2.1) is the IPv4 address, so that a rule holds whichever way a connection came. Zone ids (fe80::1%eth0)
 * are refused: they mean something on one machine only.
 */
import { isIP } from 'node:net'

export interface Address {
  readonly version: 4 | 6
  readonly value: bigint
}

export interface AddressBlock {
  readonly version: 4 | 6
  /** The lowest address of the block. */
  readonly value: bigint
  /** Leading bits that all its addresses share: 0 to 32, or 0 to 128. */
  readonly bits: number
}

const MAPPED = 0xffffn << 32n
const width = (version: 4 | 6): number => (version === 4 ? 32 : 128)

function ipv4(text: string): bigint {
  return text.split('.').reduce((value, part) => (value << 8n) | BigInt(part), 0n)
}

function ipv6(text: string): bigint {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  if (dotted !== null) {
    const low = ipv4(dotted[2]!)
    return ipv6(`${dotted[1]!}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`)
  }
  const [head, tail] = text.split('::').map(side => (side === '' ? [] : side.split(':')))
  const groups =
    tail === undefined
      ? head!
      : [...head!, ...Array.from({ length: 8 - head!.length - tail.length }, () => '0'), ...tail]
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n)
}

function parse(text: string): { address: Address; mapped: boolean } | undefined {
  const version = text.includes('%') ? 0 : isIP(text)
  if (version === 0) return undefined
  if (version === 4) return { address: { version, value: ipv4(text) }, mapped: false }
  const value = ipv6(text)
  const mapped = value >> 32n === MAPPED >> 32n
  return { address: mapped ? { version: 4, value: value & 0xffffffffn } : { version: 6, value }, mapped }
}

/** Undefined for anything but one address, as `node:net` writes it or as a person would. */
export function parseAddress(text: string): Address | undefined {
  return parse(text)?.address
}

/** An address or a CIDR block. Bits of the address beyond the prefix are cleared. Undefined for anything else. */
export function parseBlock(text: string): AddressBlock | undefined {
  const [address = '', prefix, ...more] = text.split('/')
  const parsed = parse(address)
  if (parsed === undefined || more.length > 0 || (prefix !== undefined && !/^(0|[1-9]\d{0,2})$/.test(prefix)))
    return undefined
  const { version } = parsed.address
  // the prefix of a mapped address counts from the IPv6 side: ::ffff:192.0.2.0/120 is 192.0.2.0/24
  const bits = prefix === undefined ? width(version) : Number(prefix) - (parsed.mapped ? 96 : 0)
  if (bits < 0 || bits > width(version)) return undefined
  return blockAround(parsed.address, bits)
}

/** The block with that many leading bits that contains an address. @param bits 0 to 32, or 0 to 128 */
export function blockAround({ version, value }: Address, bits: number): AddressBlock {
  const free = BigInt(width(version) - bits)
  return { version, value: (value >> free) << free, bits }
}

export function contains(block: AddressBlock, address: Address): boolean {
  return block.version === address.version && blockAround(address, block.bits).value === block.value
}

/** The one form in which an address is written here: dotted, or as RFC 5952 has it. */
export function formatAddress({ version, value }: Address): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map(shift => String((value >> shift) & 0xffn)).join('.')
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16))
  // URL writes IPv6 addresses by RFC 5952's rules
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1)
}

/** A block of one address is written as that address. */
export function formatBlock(block: AddressBlock): string {
  return block.bits === width(block.version) ? formatAddress(block) : `${formatAddress(block)}/${block.bits}`
}

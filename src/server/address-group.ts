/** Whom limits of addresses count as one: an IPv4 address, or the /64 that an IPv6 network is given whole. */
import { blockAround, formatAddress, formatBlock, parseAddress } from '../lib/address.ts'

/** `::ffff:192.0.2.1` -> 192.0.2.1; `2001:db8:1:2:3::4` -> 2001:db8:1:2::/64; what is no address stays as it is. */
export function addressGroup(text: string): string {
  const address = parseAddress(text)
  if (address === undefined) return text
  return address.version === 4 ? formatAddress(address) : formatBlock(blockAround(address, 64))
}

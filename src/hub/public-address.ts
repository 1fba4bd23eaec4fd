/**
 * Addresses that a download may come from: public ones only, unless the user allows others. The blocks are those of
 * IANA's registries of special-purpose addresses (RFC 6890), IPv4 and IPv6, that are not globally reachable, and every
 * form in which IPv6 carries such an IPv4 address.
 */
import { contains, parseAddress, parseBlock } from '../lib/address.ts'
import type { AddressBlock } from '../lib/address.ts'
import { invariant } from '../lib/errors.ts'

type Named = readonly [AddressBlock, string]

const named = (rows: Readonly<Record<string, string>>): Named[] =>
  Object.entries(rows).flatMap(([what, blocks]) =>
    blocks.split(' ').map((text): Named => {
      const block = parseBlock(text)
      invariant(block !== undefined, `${text} is a block of addresses`)
      return [block, what]
    })
  )

const SPECIAL = named({
  'an address of this machine': '0.0.0.0/8 127.0.0.0/8 ::/127',
  'a private address': '10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10',
  'a link-local address': '169.254.0.0/16 fe80::/10',
  "an address behind a provider's translator": '100.64.0.0/10 192.0.0.0/24 64:ff9b:1::/48',
  'a multicast or broadcast address': '224.0.0.0/4 255.255.255.255/32 ff00::/8',
  'an address for documentation or tests':
    '192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 198.18.0.0/15 2001:db8::/32 3fff::/20',
  'a reserved address': '240.0.0.0/4 2001::/23',
  'an address of a tunnel': '192.88.99.0/24 2002::/16'
})
const LOOPBACK = named({ loopback: '127.0.0.0/8 ::1' })
/** RFC 6052: how an IPv6-only network maps a public IPv4 address; the IPv4 address decides. */
const NAT64 = named({ nat64: '64:ff9b::/96' })
/** RFC 4291: nothing outside it is a public unicast address today. */
const GLOBAL = named({ global: '2000::/3' })

/**
 * Why the address is not public, such as "a private address"; undefined for a public one. Text that is not an address
 * is not public.
 */
export function notPublic(text: string): string | undefined {
  const address = parseAddress(text)
  if (address === undefined) return 'no address'
  if (NAT64.some(([block]) => contains(block, address))) {
    const low = address.value & 0xffffffffn
    return notPublic([24n, 16n, 8n, 0n].map(shift => String((low >> shift) & 0xffn)).join('.'))
  }
  const special = SPECIAL.find(([block]) => contains(block, address))
  if (special !== undefined) return special[1]
  return address.version === 6 && !contains(GLOBAL[0]![0], address) ? 'a reserved address' : undefined
}

/** Whether the address is one of this machine's loopback addresses, 127.0.0.0/8 or ::1. */
export function isLoopbackAddress(text: string): boolean {
  const address = parseAddress(text)
  return address !== undefined && LOOPBACK.some(([block]) => contains(block, address))
}

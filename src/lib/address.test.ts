import assert from 'node:assert/strict'
import { BlockList } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { blockAround, contains, formatAddress, formatBlock, parseAddress, parseBlock } from './address.ts'

const normal = (text: string): string | undefined => {
  const block = parseBlock(text)
  return block === undefined ? undefined : formatBlock(block)
}
const v6 = fc.ipV6()
const v4 = fc.ipV4()

test('blocks have one form, and mapped IPv4 is IPv4', () => {
  const forms: Record<string, string> = {
    '192.0.2.7': '192.0.2.7',
    '192.0.2.7/32': '192.0.2.7',
    '192.0.2.7/24': '192.0.2.0/24',
    '0.0.0.0/0': '0.0.0.0/0',
    '::/0': '::/0',
    '2001:DB8:0:0:0:0:0:1': '2001:db8::1',
    '2001:db8::ff/64': '2001:db8::/64',
    '::ffff:192.0.2.7': '192.0.2.7',
    '::ffff:c000:207': '192.0.2.7',
    '::ffff:192.0.2.7/120': '192.0.2.0/24',
    '64:ff9b::192.0.2.1': '64:ff9b::c000:201',
    '1:0:0:2:0:0:0:3': '1:0:0:2::3',
    '::': '::',
    '::1': '::1'
  }
  for (const [text, form] of Object.entries(forms)) assert.equal(normal(text), form, text)
})

test('what is no address or block is refused', () => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4/33',
    '1.2.3.4/',
    '1.2.3.4/-1',
    '1.2.3.4/08',
    '1.2.3.4/24/1',
    '01.2.3.4',
    '0x7f.1',
    '127.1',
    '2130706433',
    ' 1.2.3.4',
    'fe80::1%eth0',
    'fe80::1%eth0/64',
    '::/129',
    '::ffff:1.2.3.4/95',
    'localhost',
    '[::1]',
    '1.2.3.4:80',
    ':::',
    '1::2::3',
    '/8',
    '::ffff:1.2.3.256',
    '*'
  ]) {
    assert.equal(parseBlock(text), undefined, text)
  }
})

test('an address goes to text and back', () => {
  fc.assert(
    fc.property(fc.oneof(v4, v6), text => {
      const address = parseAddress(text)!
      const form = formatAddress(address)
      assert.deepEqual(parseAddress(form), address)
      assert.equal(normal(form), form)
    })
  )
})

test('a block contains what another implementation says it does, and blocks around an address contain it', () => {
  fc.assert(
    fc.property(v4, v4, fc.nat(32), (a, b, bits) => {
      const list = new BlockList()
      list.addSubnet(a, bits)
      assert.equal(contains(parseBlock(`${a}/${bits}`)!, parseAddress(b)!), list.check(b))
      assert.ok(contains(blockAround(parseAddress(b)!, bits), parseAddress(`::ffff:${b}`)!))
    })
  )
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 128n) - 1n), fc.nat(128), fc.nat(127), (value, bits, flipped) => {
      const block = blockAround({ version: 6, value }, bits)
      assert.equal(contains(block, { version: 6, value: value ^ (1n << BigInt(127 - flipped)) }), flipped >= bits)
      assert.equal(contains(block, { version: 4, value: value & 0xffffffffn }), false)
    })
  )
})

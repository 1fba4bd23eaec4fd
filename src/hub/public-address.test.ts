import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatAddress } from '../lib/address.ts'
import { isLoopbackAddress, notPublic } from './public-address.ts'

test('public addresses are public', () => {
  for (const address of [
    '1.1.1.1',
    '8.8.8.8',
    '172.15.255.255',
    '172.32.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '223.255.255.255',
    '2606:4700::1111',
    '2a00:1450::1',
    '64:ff9b::8.8.8.8',
    '::ffff:8.8.8.8'
  ])
    assert.equal(notPublic(address), undefined, address)
})

test('addresses of this machine, of private networks and without a host behind them are not', () => {
  for (const address of [
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '127.0.0.1',
    '127.255.255.255',
    '100.64.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.8',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::7f00:1',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '2002:808:808::',
    '3fff::1',
    '5f00::1',
    'fc00::1',
    'fd12:3456::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    '4000::1',
    '',
    'localhost',
    '127.1'
  ])
    assert.notEqual(notPublic(address), undefined, address)
})

test('an IPv4 address is judged alike however IPv6 carries it', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 0xffffffffn }), value => {
      const four = formatAddress({ version: 4, value })
      assert.equal(notPublic(`::ffff:${four}`), notPublic(four))
      assert.equal(notPublic(formatAddress({ version: 6, value: (0x64ff9bn << 96n) | value })), notPublic(four))
      assert.notEqual(
        notPublic(formatAddress({ version: 6, value: (0x2002n << 112n) | (value << 80n) | 1n })),
        undefined
      )
    })
  )
})

test('loopback is 127.0.0.0/8 and ::1', () => {
  assert.deepEqual(
    ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '128.0.0.1', '::2', 'x'].map(isLoopbackAddress),
    [true, true, true, true, false, false, false]
  )
})

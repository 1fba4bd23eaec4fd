import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addressGroup, addressGroups, wideGroup } from './address-group.ts'

const shown = (text: string): string =>
  addressGroups(text)
    .map(({ name, factor }) => `${name} x${factor}`)
    .join(', ')

test('an address is counted in groups of growing size, however it is written', () => {
  assert.equal(shown('192.0.2.1'), '192.0.2.1 x1, 192.0.2.0/24 x8')
  assert.equal(shown('::ffff:192.0.2.1'), shown('192.0.2.1'))
  assert.equal(shown('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64 x1, 2001:db8:1::/56 x2, 2001:db8:1::/48 x4')
  assert.equal(shown('2001:0DB8:1:2::9'), shown('2001:db8:1:2:ffff::'))
  assert.equal(shown('2001:db8:1:1ff::1'), '2001:db8:1:1ff::/64 x1, 2001:db8:1:100::/56 x2, 2001:db8:1::/48 x4')
})

test('loopback is one group, whichever of its addresses is used; a Unix socket is another', () => {
  for (const address of ['127.0.0.1', '127.0.0.2', '127.255.255.254', '::1', '::ffff:127.9.9.9']) {
    assert.equal(shown(address), 'loopback x1', address)
  }
  for (const address of ['128.0.0.1', '126.255.255.255', '::2', '::', '::127.0.0.1']) {
    assert.notEqual(addressGroup(address), 'loopback', address)
  }
  assert.equal(shown('unix'), 'unix x1')
})

test('refusals of many sources are told by /16 and /32', () => {
  assert.equal(wideGroup('192.0.2.1'), '192.0.0.0/16')
  assert.equal(wideGroup('2001:db8:1:2::9'), '2001:db8::/32')
  assert.equal(wideGroup('127.9.9.9'), 'loopback')
  assert.equal(wideGroup('unix'), 'unix')
})

test('addresses of one group share every wider group, and factors grow with the group', () => {
  const near = fc.oneof(
    fc.tuple(fc.nat(2), fc.nat(255)).map(([c, d]) => `192.0.${c}.${d}`),
    fc.tuple(fc.nat(2), fc.nat(0x3ff)).map(([c, d]) => `2001:db8:${c}:${d.toString(16)}::1`),
    fc.ipV4(),
    fc.ipV6()
  )
  fc.assert(
    fc.property(near, near, (a, b) => {
      const [one, other] = [addressGroups(a), addressGroups(b)]
      const shared = one.findIndex(group => other.some(o => o.name === group.name))
      if (shared >= 0) assert.deepEqual(one.slice(shared), other.slice(shared))
      for (const [i, group] of one.entries()) if (i > 0) assert.ok(group.factor > one[i - 1]!.factor)
    })
  )
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressGroup } from './address-group.ts'

test('an IPv4 address stands alone, however it is written; an IPv6 address for its /64', () => {
  assert.equal(addressGroup('192.0.2.1'), '192.0.2.1')
  assert.equal(addressGroup('::ffff:192.0.2.1'), '192.0.2.1')
  assert.equal(addressGroup('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  assert.equal(addressGroup('2001:0DB8:1:2::9'), '2001:db8:1:2::/64')
  assert.equal(addressGroup('2001:db8::1'), addressGroup('2001:db8::ffff:1'))
  assert.notEqual(addressGroup('2001:db8:0:1::1'), addressGroup('2001:db8::1'))
})

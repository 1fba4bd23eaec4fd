import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { AddressList, ProxyList, clientAddress, normalAddress, peerOf } from './forwarded.ts'

const ENTRIES = ['10.0.0.0/8', '2001:db8::5', '::ffff:192.0.2.0/120']
const proxies = new AddressList(ENTRIES)
const message = (remoteAddress: string | undefined, forwarded?: string): IncomingMessage =>
  ({
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }
  }) as unknown as IncomingMessage
const from = (remoteAddress: string | undefined, forwarded?: string): string =>
  clientAddress(message(remoteAddress, forwarded), { proxies: new ProxyList(ENTRIES), unix: false })

test('what anyone but a declared proxy says about addresses is not believed, nor looked at', () => {
  for (const header of ['1.2.3.4', '10.0.0.1', 'nonsense', ',,,', undefined]) {
    assert.equal(from('203.0.113.9', header), '203.0.113.9')
    assert.equal(from('::ffff:203.0.113.9', header), '203.0.113.9')
    assert.equal(from('2001:db8::6', header), '2001:db8::6')
  }
  assert.equal(from('fe80::1%eth0', '1.2.3.4'), 'fe80::1')
  assert.equal(from(undefined, '1.2.3.4'), '')
})

test('from a declared proxy the client is the right-most address that is none of theirs', () => {
  assert.equal(from('10.1.1.1'), '10.1.1.1')
  assert.equal(from('10.1.1.1', '203.0.113.9'), '203.0.113.9')
  assert.equal(from('::ffff:10.1.1.1', '203.0.113.9'), '203.0.113.9')
  assert.equal(from('192.0.2.77', '::ffff:203.0.113.9'), '203.0.113.9')
  assert.equal(from('10.1.1.1', '6.6.6.6, 203.0.113.9'), '203.0.113.9', 'the client wrote 6.6.6.6 itself')
  assert.equal(from('10.1.1.1', 'nonsense, 203.0.113.9, 10.2.2.2'), '203.0.113.9')
  assert.equal(from('10.1.1.1', '203.0.113.9 ,2001:DB8:0::5,\t10.2.2.2'), '203.0.113.9')
  assert.equal(from('10.1.1.1', '10.9.9.9, 10.2.2.2'), '10.9.9.9', 'all are proxies: the furthest')
  assert.equal(from('10.1.1.1', '203.0.113.9:5678'), '203.0.113.9')
  assert.equal(from('10.1.1.1', '[2001:DB8::7]:5678'), '2001:db8::7')
})

test('a declared proxy that names no address, or too many proxies, is refused', () => {
  for (const header of [
    '',
    'unknown',
    '203.0.113.9,',
    '203.0.113.9, , 10.2.2.2',
    '1.2.3',
    '1.2.3.4.5',
    '0x7f.1',
    '[::1',
    '10.0.0.1/8',
    'fe80::1%eth0 x',
    Array(40).fill('10.0.0.1').join(',')
  ]) {
    assert.throws(
      () => from('10.1.1.1', header),
      (e: unknown) => VeritError.is(e, 'VERIT_HTTP'),
      header
    )
  }
})

test('whatever a client writes at the left, its own address at the right is the answer', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme-ascii' }), fc.ipV4(), (text, address) => {
      fc.pre(!proxies.has(address))
      assert.equal(from('10.1.1.1', `${text}, ${address}, 10.3.3.3`), address)
    })
  )
})

test('each address has one form', () => {
  for (const [text, form] of [
    ['192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['x', undefined],
    ['', undefined]
  ] as const) {
    assert.equal(normalAddress(text), form)
  }
})

test('a list of addresses takes blocks, but not everyone', () => {
  for (const entry of ['10.0.0.5', '10.0.0.0/8', '::1', '2001:db8::/32', '::ffff:192.0.2.0/120'])
    assert.ok(AddressList.isEntry(entry), entry)
  for (const entry of [
    '',
    'x',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0/8',
    '10.0.0.0/8/8',
    '::ffff:192.0.2.0/96',
    ' 10.0.0.1',
    'localhost'
  ]) {
    assert.ok(!AddressList.isEntry(entry), entry)
  }
  assert.ok(proxies.has('192.0.2.200') && !proxies.has('192.0.3.1') && !proxies.has('::') && !proxies.has(''))
})

test('whoever connects to the Unix socket is believed only where "unix" is declared', () => {
  const through = (entries: string[], forwarded?: string): string =>
    clientAddress(message(undefined, forwarded), { proxies: new ProxyList(entries), unix: true })
  assert.equal(through([], '203.0.113.9'), 'unix')
  assert.equal(through(['127.0.0.1'], '203.0.113.9'), 'unix')
  assert.equal(through(['unix'], '203.0.113.9'), '203.0.113.9')
  assert.equal(through(['unix', '10.0.0.0/8'], '203.0.113.9, 10.2.2.2'), '203.0.113.9')
  assert.equal(through(['unix']), 'unix')
  assert.equal(peerOf({ remoteAddress: undefined }, true), 'unix')
  assert.equal(peerOf({ remoteAddress: undefined }, false), undefined)
  assert.ok(!AddressList.isEntry('unix'), 'a key cannot be bound to it')
  assert.ok(ProxyList.isEntry('unix'))
  assert.throws(
    () => through(['unix'], 'unix'),
    (e: unknown) => VeritError.is(e, 'VERIT_HTTP'),
    'no header can name it'
  )
})

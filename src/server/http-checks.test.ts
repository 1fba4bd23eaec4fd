import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { defaultConfig } from './config.ts'
import { checkBodyHeaders, checkHttp, httpRules, isLoopback, isPlainPath } from './http-checks.ts'
import type { HttpRules } from './http-checks.ts'

const config = defaultConfig()
Object.assign(config.listen, {
  allowHosts: ['models.internal'],
  allowOrigins: ['https://app.example'],
  trustedProxies: ['10.0.0.0/8']
})
const local: HttpRules = httpRules(config)
const open: HttpRules = { ...local, host: '0.0.0.0' }
/** Headers as a list, so that one can come twice. */
const verdict = (list: readonly (readonly [string, string])[], rules = local, extra: object = {}): string => {
  const headers = Object.fromEntries(list.map(([name, value]) => [name.toLowerCase(), value]))
  const raw = {
    url: '/health',
    httpVersion: '1.1',
    socket: { remoteAddress: '203.0.113.9' },
    headers,
    rawHeaders: list.flat(),
    ...extra
  }
  try {
    checkHttp(raw as unknown as IncomingMessage, rules)
    return 'ok'
  } catch (e) {
    return VeritError.is(e) ? e.code : String(e)
  }
}
const outcome = (headers: Record<string, string>, rules = local, url = '/health'): string =>
  verdict(Object.entries(headers), rules, { url })
const local80 = ['Host', 'localhost'] as const

test('on loopback only its own names and the listed ones are accepted as Host', () => {
  for (const host of ['127.0.0.1:8081', 'localhost', 'LOCALHOST:1', '[::1]:8081', '127.0.0.2', 'models.internal:80'])
    assert.equal(outcome({ host }), 'ok', host)
  for (const host of [
    '',
    'evil.example',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '192.168.1.5',
    '127.0.0.1:8081:1',
    'a@localhost',
    'localhost/',
    '[::2]',
    '0.0.0.0',
    '2130706433',
    '0x7f.1'
  ]) {
    assert.equal(outcome({ host }), 'VERIT_FORBIDDEN', host)
  }
})

test('beyond loopback any address is accepted as Host, for DNS cannot fake one, but only listed names', () => {
  for (const host of ['192.168.1.5:8081', '[fe80::1]:8081', 'models.internal', 'localhost:8081'])
    assert.equal(outcome({ host }, open), 'ok', host)
  for (const host of ['evil.example', '', '1.2.3', 'x:y'])
    assert.equal(outcome({ host }, open), 'VERIT_FORBIDDEN', host)
})

test('an Origin is refused unless it is listed, exactly', () => {
  const host = 'localhost'
  assert.equal(outcome({ host, origin: 'https://app.example' }), 'ok')
  for (const origin of [
    'null',
    '',
    'http://app.example',
    'https://app.example:444',
    'https://app.example.evil',
    'http://localhost:8081',
    'https://APP.example'
  ]) {
    assert.equal(outcome({ host, origin }), 'VERIT_FORBIDDEN', origin)
  }
})

test('a query, too many headers and a header that comes twice are refused', () => {
  const host = 'localhost'
  assert.equal(outcome({ host }, local, '/health?key=1'), 'VERIT_HTTP')
  assert.equal(outcome({ host, ...Object.fromEntries(Array.from({ length: 63 }, (_, i) => [`x${i}`, ''])) }), 'ok')
  assert.equal(
    outcome({ host, ...Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`x${i}`, ''])) }),
    'VERIT_HTTP'
  )
  assert.equal(outcome({ host, authorization: 'a', Authorization: 'b' }), 'VERIT_HTTP')
})

test('only paths written in one way are plain', () => {
  for (const path of [
    '/health',
    '/v1/chat/completions',
    '/v1.2/x_y~z',
    '/.well-known/security.txt',
    '/v1/admin/keys/key_0123456789ab'
  ])
    assert.ok(isPlainPath(path), path)
  for (const path of [
    '',
    '/',
    '//health',
    '/health/',
    '/v1/%6dodels',
    '/v1/../health',
    '/./health',
    '/.hidden',
    '/v1/.well-known/x',
    '/.well-known',
    '/.well-known/',
    '/.well-known/.x',
    '/health;x',
    '/health\\',
    'http://x/health',
    '*',
    '/hea lth',
    '/ä'
  ]) {
    assert.ok(!isPlainPath(path), path)
  }
})

test('loopback is told from what only looks like it', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', '0::1', 'localhost']) assert.ok(isLoopback(host), host)
  for (const host of [
    '0.0.0.0',
    '::',
    '10.0.0.1',
    '127.0.0.1.example',
    '',
    '127.999.1.1',
    '127.1',
    '::ffff:127.0.0.1',
    '::2'
  ]) {
    assert.ok(!isLoopback(host), host)
  }
})

test(
  'headers by which a request would be another than its first line says are refused, and so are those that ' +
    'have no place in it',
  () => {
    for (const name of [
      'X-HTTP-Method-Override',
      'x-method-override',
      'X-HTTP-Method',
      'X-Original-URL',
      'x-rewrite-url',
      '__proto__',
      'constructor',
      'Prototype'
    ]) {
      assert.equal(verdict([local80, [name, 'x']]), 'VERIT_HTTP', name)
    }
    for (const name of [
      'Cookie',
      'TE',
      'Trailer',
      'Upgrade',
      'HTTP2-Settings',
      'If-None-Match',
      'Range',
      'Forwarded',
      'X-Real-IP',
      'X-Forwarded-Proto',
      'Via'
    ])
      assert.equal(verdict([local80, [name, 'x']]), 'ok', name)
  }
)

test('headers that decide something may come once; proxies in a row may each add an X-Forwarded-For', () => {
  for (const name of ['Signature', 'signature-input', 'Content-Digest', 'Content-Length', 'Origin', 'Authorization']) {
    assert.equal(verdict([local80, [name, '1'], [name.toUpperCase(), '1']]), 'VERIT_HTTP', name)
  }
  const twice = [local80, ['X-Forwarded-For', '1.2.3.4'], ['X-Forwarded-For', '5.6.7.8']] as const
  assert.equal(verdict(twice, local, { socket: { remoteAddress: '::ffff:10.1.2.3' } }), 'ok')
  assert.equal(verdict(twice), 'ok', 'it is not read where it is not believed')
  assert.equal(verdict([local80, ['Accept', '1'], ['Accept', '2']]), 'ok')
})

test('a Connection header may name anything but headers that are meant for this server', () => {
  for (const value of [
    'close',
    'keep-alive',
    'Keep-Alive, TE',
    'TE,close',
    'Upgrade, HTTP2-Settings',
    'x-of-a-proxy',
    '',
    'close,',
    ', ,close',
    '\tclose\t'
  ])
    assert.equal(verdict([local80, ['Connection', value]]), 'ok', value)
  for (const value of [
    'authorization',
    'close, Authorization',
    'signature',
    'host',
    'Content-Length',
    'x-forwarded-for',
    'cookie',
    '"close"',
    'a b'
  ]) {
    assert.equal(verdict([local80, ['Connection', value]]), 'VERIT_HTTP', value)
  }
  assert.equal(verdict([local80, ['Connection', 'keep-alive'], ['Connection', 'TE']]), 'ok')
})

test('Host: HTTP/1.1 needs one, HTTP/1.0 does not; its port is a port, and may be empty', () => {
  assert.equal(verdict([]), 'VERIT_HTTP')
  assert.equal(verdict([], local, { httpVersion: '1.0' }), 'ok')
  assert.equal(verdict([['Host', '']], local, { httpVersion: '1.0' }), 'ok')
  assert.equal(verdict([['Host', 'evil.example']], local, { httpVersion: '1.0' }), 'VERIT_FORBIDDEN')
  for (const host of [
    'localhost:',
    'localhost:0',
    'localhost:65535',
    '[::1]:',
    '127.255.255.255:1',
    '[0:0:0:0:0:0:0:1]'
  ]) {
    assert.equal(outcome({ host }), 'ok', host)
  }
  for (const host of [
    'localhost:65536',
    'localhost:99999',
    'localhost:-1',
    'localhost:x',
    '127.999.1.1',
    '127.1',
    '127.0.0.01',
    '127.0.0.256',
    '[127.0.0.1]',
    '[::1',
    '[]',
    '[::ffff:127.0.0.1]'
  ])
    assert.equal(outcome({ host }), 'VERIT_FORBIDDEN', host)
})

test('an Expect header asks for "continue" or is refused as the standard says; HTTP/1.0 does not know it', () => {
  for (const value of ['100-continue', '100-Continue']) assert.equal(verdict([local80, ['Expect', value]]), 'ok', value)
  for (const value of ['', 'x', '100-continue, x', '200-ok', '100'])
    assert.equal(verdict([local80, ['Expect', value]]), 'VERIT_EXPECTATION', value)
  assert.equal(verdict([local80, ['Expect', 'x']], local, { httpVersion: '1.0' }), 'ok')
  assert.equal(verdict([local80, ['Expect', '100-continue'], ['Expect', '100-continue']]), 'VERIT_HTTP')
})

test('the length of a body is told in one way', () => {
  assert.equal(verdict([local80, ['Content-Length', '5'], ['Transfer-Encoding', 'chunked']]), 'VERIT_HTTP')
  assert.equal(verdict([local80, ['Transfer-Encoding', 'chunked']]), 'ok')
  assert.equal(verdict([local80, ['Transfer-Encoding', 'chunked']], local, { httpVersion: '1.0' }), 'VERIT_HTTP')
  for (const value of ['gzip, chunked', 'chunked, chunked', 'identity', '\x0bchunked', ''])
    assert.equal(verdict([local80, ['Transfer-Encoding', value]]), 'VERIT_HTTP', value)
  for (const value of ['+5', '-1', '5,5', '0x5', '', ' 5', '5 ', '1e3', '9'.repeat(16)])
    assert.equal(verdict([local80, ['Content-Length', value]]), 'VERIT_HTTP', value)
})

test('characters that names and values cannot have are refused, should a parser let them through', () => {
  for (const name of ['a b', 'a:', '', 'ä', 'a\0', 'a('])
    assert.equal(verdict([local80, [name, 'x']]), 'VERIT_HTTP', name)
  for (const value of ['\0', 'a\r\nb', 'a\nb', '\x7f', '\x1b[0m', '\u0100'])
    assert.equal(verdict([local80, ['X', value]]), 'VERIT_HTTP', value)
  assert.equal(verdict([local80, ['X', '\tvis!ble~ \xe4']]), 'ok')
})

test('addresses are accepted to their limit, other versions of HTTP not at all', () => {
  assert.equal(outcome({ host: 'localhost' }, local, `/${'x'.repeat(511)}`), 'ok')
  assert.equal(outcome({ host: 'localhost' }, local, `/${'x'.repeat(512)}`), 'VERIT_HTTP')
  for (const httpVersion of ['0.9', '2.0', '1.2', ''])
    assert.equal(verdict([local80], local, { httpVersion }), 'VERIT_HTTP')
  assert.equal(verdict([local80], local, { httpVersion: '1.0' }), 'ok')
})

test('the limit on headers is the configured one', () => {
  const rules = { ...local, headers: 8 }
  const list = (n: number) => [local80, ...Array.from({ length: n - 1 }, (_, i) => [`x${i}`, ''] as const)]
  assert.deepEqual([verdict(list(8), rules), verdict(list(9), rules)], ['ok', 'VERIT_HTTP'])
})

test('a route without a body takes none, one with a body takes plain JSON', () => {
  const body = (headers: object, takes: boolean): string => {
    try {
      checkBodyHeaders({ headers } as IncomingMessage, takes)
      return 'ok'
    } catch (e) {
      return VeritError.is(e) ? e.code : String(e)
    }
  }
  assert.equal(body({ 'content-length': '0' }, false), 'ok')
  assert.equal(body({ 'content-length': '1' }, false), 'VERIT_HTTP')
  assert.equal(body({ 'transfer-encoding': 'chunked' }, false), 'VERIT_HTTP')
  assert.equal(body({ 'content-type': 'application/json' }, true), 'ok')
  for (const encoding of ['gzip', 'br', 'zstd', 'identity', ''])
    assert.equal(body({ 'content-type': 'application/json', 'content-encoding': encoding }, true), 'VERIT_CONTENT_TYPE')
})

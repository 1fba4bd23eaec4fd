import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { checkHttp, isLoopback, isPlainPath } from './http-checks.ts'
import type { HostRules } from './http-checks.ts'

const local: HostRules = { host: '127.0.0.1', allowHosts: ['models.internal'], allowOrigins: ['https://app.example'] }
const open: HostRules = { ...local, host: '0.0.0.0' }
const outcome = (headers: Record<string, string>, rules = local, url = '/health'): string => {
  const raw = { url, headers, rawHeaders: Object.entries(headers).flat() } as unknown as IncomingMessage
  try {
    checkHttp(raw, rules)
    return 'ok'
  } catch (e) {
    return VeritError.is(e) ? e.code : 'other'
  }
}

test('on loopback only its own names and the listed ones are accepted as Host', () => {
  for (const host of ['127.0.0.1:8081', 'localhost', 'LOCALHOST:1', '[::1]:8081', '127.0.0.2', 'models.internal:80']) assert.equal(outcome({ host }), 'ok', host)
  for (const host of ['', 'evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', '192.168.1.5', '127.0.0.1:8081:1', 'a@localhost', 'localhost/', '[::2]', '0.0.0.0', '2130706433', '0x7f.1']) {
    assert.equal(outcome({ host }), 'VERIT_FORBIDDEN', host)
  }
})

test('beyond loopback any address is accepted as Host, for DNS cannot fake one, but only listed names', () => {
  for (const host of ['192.168.1.5:8081', '[fe80::1]:8081', 'models.internal', 'localhost:8081']) assert.equal(outcome({ host }, open), 'ok', host)
  for (const host of ['evil.example', '', '1.2.3', 'x:y']) assert.equal(outcome({ host }, open), 'VERIT_FORBIDDEN', host)
})

test('an Origin is refused unless it is listed, exactly', () => {
  const host = 'localhost'
  assert.equal(outcome({ host, origin: 'https://app.example' }), 'ok')
  for (const origin of ['null', '', 'http://app.example', 'https://app.example:444', 'https://app.example.evil', 'http://localhost:8081', 'https://APP.example']) {
    assert.equal(outcome({ host, origin }), 'VERIT_FORBIDDEN', origin)
  }
})

test('a query, an upgrade, too many headers and a header that comes twice are refused', () => {
  const host = 'localhost'
  assert.equal(outcome({ host }, local, '/health?key=1'), 'VERIT_HTTP')
  assert.equal(outcome({ host, upgrade: 'h2c' }), 'VERIT_HTTP')
  assert.equal(outcome({ host, ...Object.fromEntries(Array.from({ length: 63 }, (_, i) => [`x${i}`, '']) ) }), 'ok')
  assert.equal(outcome({ host, ...Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`x${i}`, '']) ) }), 'VERIT_HTTP')
  assert.equal(outcome({ host, authorization: 'a', Authorization: 'b' }), 'VERIT_HTTP')
})

test('only paths written in one way are plain', () => {
  for (const path of ['/health', '/v1/chat/completions', '/v1.2/x_y~z']) assert.ok(isPlainPath(path), path)
  for (const path of ['', '/', '//health', '/health/', '/v1/%6dodels', '/v1/../health', '/./health', '/health;x', '/health\\', 'http://x/health', '*', '/hea lth', '/ä']) {
    assert.ok(!isPlainPath(path), path)
  }
})

test('loopback is told from what only looks like it', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) assert.ok(isLoopback(host))
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', '']) assert.ok(!isLoopback(host))
})

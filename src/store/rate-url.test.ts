import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { parseRateUrl, rateUrl } from './rate-url.ts'

test('a URL names host, port, database, user, password and whether TLS is spoken', () => {
  const defaults = { host: 'h', port: 6379, database: 0, tls: false, username: undefined, password: undefined }
  assert.deepEqual(parseRateUrl('redis://h'), defaults)
  assert.deepEqual(parseRateUrl('valkey://h/'), defaults)
  assert.deepEqual(parseRateUrl('valkeys://h'), { ...defaults, tls: true })
  assert.deepEqual(parseRateUrl('rediss://gate:p%40ss%3A@10.0.0.7:7000/3'), {
    host: '10.0.0.7',
    port: 7000,
    database: 3,
    tls: true,
    username: 'gate',
    password: 'p@ss:'
  })
  assert.equal(parseRateUrl('redis://:x@[::1]:6380').host, '::1')
})

test('what is no such URL is refused in words that do not repeat it', () => {
  for (const url of [
    'http://secret@h',
    'secret',
    'redis:///secret',
    'redis://h/secret',
    'redis://h?password=secret',
    'redis://h#secret',
    'redis://:secret%@h',
    'redis://'
  ]) {
    assert.throws(
      () => parseRateUrl(url),
      e =>
        VeritError.is(e, 'VERIT_CONFIG') &&
        !e.message.includes('secret@') &&
        !/=secret|#secret|secret%/.test(e.message),
      url
    )
  }
})

test('the URL comes from the environment or a file named there, not from both', () => {
  const folder = mkdtempSync(join(tmpdir(), 'verit-'))
  try {
    const path = join(folder, 'url')
    writeFileSync(path, 'redis://:pass@h:1\n', { mode: 0o600 })
    assert.equal(rateUrl({}), undefined)
    assert.equal(rateUrl({ VERIT_RATE_URL: 'redis://h' }), 'redis://h')
    assert.equal(rateUrl({ VERIT_RATE_URL_FILE: path }), 'redis://:pass@h:1')
    assert.throws(
      () => rateUrl({ VERIT_RATE_URL_FILE: path, VERIT_RATE_URL: 'redis://h' }),
      e => VeritError.is(e, 'VERIT_CONFIG')
    )
    assert.throws(
      () => rateUrl({ VERIT_RATE_URL_FILE: join(folder, 'none') }),
      e => VeritError.is(e, 'VERIT_FILE_NOT_FOUND')
    )
    writeFileSync(path, 'redis://h\nredis://g')
    assert.throws(
      () => rateUrl({ VERIT_RATE_URL_FILE: path }),
      e => VeritError.is(e, 'VERIT_CONFIG')
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearest } from './nearest.ts'

test('one slip or two are forgiven, other names are not guessed at', () => {
  const names = ['port', 'host', 'tls_cert', 'tls_key']
  for (const [name, expected] of [
    ['prot', 'port'],
    ['ports', 'port'],
    ['hst', 'host'],
    ['tlsCert', 'tls_cert'],
    ['tls_kye', 'tls_key'],
    ['database', undefined],
    ['', undefined],
    ['x'.repeat(1000), undefined]
  ] as const) {
    assert.equal(nearest(name, names), expected, name)
  }
  assert.equal(nearest('a', []), undefined)
})

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { signingSecret } from './signing-secret.ts'

test('the signing secret is HKDF-SHA-256 of the key, extract and expand written out', () => {
  for (const key of ['verit_0123456789', '', 'ключ']) {
    const extracted = createHmac('sha256', Buffer.alloc(32)).update(key, 'utf8').digest()
    const expected = createHmac('sha256', extracted).update('verit request signing v1').update(Buffer.of(1)).digest()
    assert.deepEqual(signingSecret(key), expected)
  }
})

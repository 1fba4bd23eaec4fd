import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { newKey } from './key-format.ts'
import { SealedSecrets } from './sealed-secrets.ts'

const secret = Buffer.alloc(32, 1)
const secrets = new SealedSecrets(secret)
const other = new SealedSecrets(Buffer.alloc(32, 2))

test('what is sealed opens with the same secret and id, unchanged, and not otherwise', () => {
  const plain = Buffer.alloc(32, 9)
  const sealed = secrets.seal(plain, 'key_a.1')
  assert.deepEqual(secrets.open(sealed, 'key_a.1'), plain)
  assert.notDeepEqual(secrets.seal(plain, 'key_a.1'), sealed)
  const refused = (f: () => unknown): void => assert.throws(f, e => VeritError.is(e, 'VERIT_STATE'))
  refused(() => other.open(sealed, 'key_a.1'))
  refused(() => secrets.open(sealed, 'key_a.2'))
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed)
    changed[at]! ^= 1
    refused(() => secrets.open(changed, 'key_a.1'))
  }
  for (const length of [0, 11, 12, 27, 28, sealed.length - 1])
    refused(() => secrets.open(sealed.subarray(0, length), 'key_a.1'))
})

test("digests are as version 1 made them, and the check is only this secret's", () => {
  const key = newKey()
  assert.deepEqual(secrets.digest(key), createHmac('sha256', secret).update(key).digest())
  assert.ok(secrets.isCheck(secrets.check()))
  assert.equal(other.isCheck(secrets.check()), false)
  assert.equal(secrets.isCheck(secrets.check().subarray(1)), false)
})

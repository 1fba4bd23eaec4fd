import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KEY_LENGTH, isKey, newKey } from './key-format.ts'

test('a new key has the form, and no two are the same', () => {
  const keys = new Set(Array.from({ length: 500 }, newKey))
  assert.equal(keys.size, 500)
  for (const key of keys) {
    assert.equal(key.length, KEY_LENGTH)
    assert.match(key, /^verit_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/)
    assert.ok(isKey(key))
  }
})

test('a key with any one character changed, its case included, is not one', () => {
  const key = newKey()
  fc.assert(
    fc.property(fc.nat(KEY_LENGTH - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, c) => {
      const other = key.slice(0, at) + c + key.slice(at + 1)
      return isKey(other) === (other === key)
    })
  )
  for (const other of ['', key.toUpperCase(), key.toLowerCase(), ` ${key}`, `${key}\n`, key + key, key.slice(0, -1)])
    assert.equal(isKey(other), false)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TokenBytes } from './token-bytes.ts'

test('each token has the bytes that were given for it, and there are no others', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 60 }), lists => {
      const tokens = new TokenBytes(lists.length)
      for (const bytes of lists) tokens.push(bytes)
      assert.deepEqual(
        lists.map((_, id) => tokens.at(id)),
        lists
      )
      for (const id of [-1, lists.length, 0.5, NaN, Infinity]) assert.equal(tokens.at(id), undefined)
    })
  )
})

test('bytes of all tokens lie in one buffer', () => {
  const tokens = new TokenBytes(3)
  for (const byte of [1, 2, 3]) tokens.push(Uint8Array.of(byte, byte))
  assert.equal(new Set([0, 1, 2].map(id => tokens.at(id)!.buffer)).size, 1)
})

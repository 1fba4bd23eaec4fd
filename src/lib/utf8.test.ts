import assert from 'node:assert/strict'
import { isUtf8 } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { utf8FirstInvalid, utf8Pending } from './utf8.ts'

/** Bytes that are UTF-8 more often than chance would have it. */
const nearlyUtf8 = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }).map(s => Buffer.from(s)),
      fc.uint8Array({ maxLength: 3 })
    ),
    { maxLength: 8 }
  )
  .map(parts => Buffer.concat(parts))

test('bytes are called invalid where Node says so, and the offset splits them into a valid part and a bad byte', () => {
  fc.assert(
    fc.property(nearlyUtf8, bytes => {
      const at = utf8FirstInvalid(bytes)
      assert.equal(at < 0, isUtf8(bytes))
      if (at < 0) return
      assert.ok(isUtf8(bytes.subarray(0, at)))
      for (let n = 1; n <= 4 && at + n <= bytes.length; n++) assert.ok(!isUtf8(bytes.subarray(at, at + n)))
    })
  )
})

test('pending bytes are exactly the beginnings of characters', () => {
  const points = [0x24, 0xa2, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xfffd, 0x10000, 0x10ffff]
  for (const p of points) {
    const bytes = Buffer.from(`a${String.fromCodePoint(p)}`)
    for (let n = 1; n < bytes.length; n++) assert.equal(utf8Pending(bytes, n), n - 1)
    assert.equal(utf8Pending(bytes, bytes.length), 0)
  }
  for (const never of [
    [0xc0],
    [0xc1],
    [0xf5],
    [0xe0, 0x9f],
    [0xed, 0xa0],
    [0xf0, 0x8f],
    [0xf4, 0x90],
    [0x80],
    [0xff]
  ]) {
    assert.equal(utf8Pending(Uint8Array.from(never), never.length), 0)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NameSet } from './name-set.ts'

test('a name is new exactly the first time, whatever the names are', () => {
  const name = fc.oneof(fc.uint8Array({ maxLength: 3, max: 2 }), fc.uint8Array({ maxLength: 64 }))
  fc.assert(
    fc.property(fc.array(name, { maxLength: 200 }), names => {
      const set = new NameSet(names.length, 64)
      const seen = new Set<string>()
      for (const n of names) {
        const text = Buffer.from(n).toString('latin1')
        assert.equal(set.add(n), !seen.has(text))
        seen.add(text)
      }
      names.forEach((n, i) => assert.equal(set.text(i), Buffer.from(n).toString('utf8')))
    })
  )
})

test('names that end in zeros, and the empty one, are names of their own', () => {
  const set = new NameSet(4, 3)
  for (let n = 0; n < 4; n++) assert.ok(set.add(new Uint8Array(n)))
})

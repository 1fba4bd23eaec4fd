import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WordMerger } from './merge.ts'
import { PairIndex } from './pairs.ts'

/** Merges over a small alphabet: any two ids so far make the next. */
const merges = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 12 }).map(choices => {
  const pairs = new PairIndex()
  const result: number[] = []
  for (const [a, b] of choices) {
    const known = 3 + result.length
    if (pairs.add(a % known, b % known) === result.length) result.push(known)
  }
  return { pairs, result: Int32Array.from(result) }
})

test('the heap merges as the definition does: the lowest rank, the leftmost first, again and again', () => {
  fc.assert(
    fc.property(merges, fc.array(fc.nat(2), { maxLength: 40 }), ({ pairs, result }, word) => {
      const slow = [...word]
      for (;;) {
        let best = -1
        for (let i = 0; i + 1 < slow.length; i++) {
          const rank = pairs.get(slow[i]!, slow[i + 1]!)
          if (rank >= 0 && (best < 0 || rank < pairs.get(slow[best]!, slow[best + 1]!))) best = i
        }
        if (best < 0) break
        slow.splice(best, 2, result[pairs.get(slow[best]!, slow[best + 1]!)]!)
      }
      const ids = Int32Array.from(word)
      const n = new WordMerger(pairs, result).merge(ids, ids.length)
      assert.deepEqual([...ids.subarray(0, n)], slow)
    }),
    { numRuns: 2000 }
  )
})

test('an index of pairs keeps every pair it was given while it grows', () => {
  const index = new PairIndex()
  for (let a = 0; a < 100; a++) for (let b = 0; b < 100; b++) assert.equal(index.add(a, b * 1000), a * 100 + b)
  for (let a = 0; a < 100; a++) for (let b = 0; b < 100; b++) assert.equal(index.get(a, b * 1000), a * 100 + b)
  assert.equal(index.get(0, 1), -1)
})

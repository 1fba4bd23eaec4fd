import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { draftRows } from './draft-rows.ts'

const total = (list: readonly number[]): number => list.reduce((n, x) => n + x, 0)

test('one answer alone fills up to eight rows, two or three fill four, and more bring none', () => {
  assert.deepEqual(draftRows([], 256, 0), [])
  assert.deepEqual([0, 3, 7].map(w => draftRows([w], 256, 5)), [[0], [3], [7]])
  assert.deepEqual(draftRows([3, 7], 256, 0), [1, 1])
  assert.deepEqual(draftRows([0, 3], 256, 0), [0, 2])
  assert.deepEqual(draftRows([7, 7], 256, 0), [3, 3], 'all of them always right')
  assert.deepEqual(draftRows([7, 7, 7], 256, 1), [1, 2, 2])
  assert.deepEqual([0, 1, 2, 3].map(turn => draftRows([3, 3, 3], 256, turn)), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
  assert.deepEqual(draftRows([7, 7, 7, 7], 256, 0), [0, 0, 0, 0])
  assert.deepEqual(draftRows([7, 0, 0, 0, 0], 256, 0), [0, 0, 0, 0, 0])
  assert.deepEqual(draftRows(Array<number>(9).fill(7), 256, 0), Array(9).fill(0))
  assert.deepEqual(draftRows([7], 5, 0), [4], 'a run has no more rows')
})

test('nobody gets more than it asks for, all together never more than eight rows, and shares differ by one at most where all ask', () => {
  const wish = fc.constantFrom(0, 3, 7)
  fc.assert(fc.property(fc.array(wish, { maxLength: 12 }), fc.integer({ min: 1, max: 300 }), fc.nat(1000), (wishes, rows, turn) => {
    const n = wishes.length, given = draftRows(wishes, Math.max(rows, n), turn)
    assert.ok(given.length === n && given.every((g, i) => g >= 0 && g <= wishes[i]!))
    const used = n + total(given)
    assert.ok(used <= Math.max(n, Math.min(8, rows)))
    if (n > 1 && wishes.some(w => w < 7)) assert.ok(used <= Math.max(n, 4))
    if (wishes.every(w => w > 0)) assert.ok(Math.max(0, ...given) - Math.min(7, ...given) <= 1)
  }))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spread } from './benchmark.ts'

test('a spread is the median, the least and the most', () => {
  assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3 })
  assert.deepEqual(spread([4, 1, 2, 3]), { median: 2.5, min: 1, max: 4 })
})

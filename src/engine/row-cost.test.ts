import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rowCost } from './row-cost.ts'

test('drafts are on by default where they were measured to pay, anywhere when asked for, and off when told so', () => {
  assert.deepEqual(
    ['native avx512', 'native avx2vnni', 'native avx2', 'native neondot', 'native baseline', 'reference'].map(name =>
      rowCost(name, true, undefined)
    ),
    [1 / 3, 3 / 5, 2 / 3, undefined, undefined, undefined]
  )
  assert.deepEqual(
    ['native avx512', 'native avx2vnni', 'native avx2', 'native neon'].map(name => rowCost(name, false, undefined)),
    [1 / 3, undefined, undefined, undefined]
  )
  assert.deepEqual(
    ['native avx512', 'native neon'].map(name => rowCost(name, false, true)),
    [1 / 3, 2 / 3]
  )
  assert.deepEqual(
    [false, 0, 0.2].map(speculate => rowCost('native avx512', false, speculate)),
    [undefined, 0, 0.2]
  )
})

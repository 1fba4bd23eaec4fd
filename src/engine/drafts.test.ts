import assert from 'node:assert/strict'
import { test } from 'node:test'
import { draftLimit, rowCost } from './drafts.ts'

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

test(
  'one answer alone may fill eight rows, two add one draft token each, more add none, and a run has no more ' +
    'rows than the model takes',
  () => {
    assert.deepEqual(
      [0, 1, 2, 3, 4, 64].map(n => draftLimit(n, 256)),
      [0, 7, 1, 0, 0, 0]
    )
    assert.deepEqual(
      [1, 2, 3, 4, 8, 9].map(rows => draftLimit(1, rows)),
      [0, 1, 2, 3, 7, 7]
    )
    assert.deepEqual(
      [2, 3, 4, 5].map(rows => draftLimit(2, rows)),
      [0, 0, 1, 1]
    )
  }
)

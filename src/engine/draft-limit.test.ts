import assert from 'node:assert/strict'
import { test } from 'node:test'
import { draftLimit } from './draft-limit.ts'

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

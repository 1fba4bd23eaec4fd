import assert from 'node:assert/strict'
import { test } from 'node:test'
import { guessRoom } from './guess-room.ts'

test('one answer alone may fill eight rows, two bring one guess each, more bring none, and a run has no more rows than it has', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 64].map(n => guessRoom(n, 256)), [0, 7, 1, 0, 0, 0])
  assert.deepEqual([1, 2, 3, 4, 8, 9].map(rows => guessRoom(1, rows)), [0, 1, 2, 3, 7, 7])
  assert.deepEqual([2, 3, 4, 5].map(rows => guessRoom(2, rows)), [0, 0, 1, 1])
})

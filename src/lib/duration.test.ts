import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDuration } from './duration.ts'

test('a duration is a whole number and a unit, and nothing else is one', () => {
  assert.deepEqual(
    ['0s', '45s', '30m', '24h', '90d', '36525d'].map(parseDuration),
    [0, 45, 1800, 86_400, 7_776_000, 3_155_760_000]
  )
  for (const text of ['', '5', 'd', '1.5h', '-1d', '1 d', '1D', '1w', '1d12h', '36526d', '99999999999s'])
    assert.equal(parseDuration(text), undefined, text)
})

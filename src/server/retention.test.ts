import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SteadyClock } from './retention.ts'

const HOUR = 3_600_000
const NOW = Date.parse('2026-11-22T12:00:00Z')

test('a clock that jumps ahead deletes nothing in that hour; one that stays there is believed', () => {
  const clock = new SteadyClock(NOW - HOUR)
  assert.equal(clock.isSteady(NOW, 0), true)
  assert.equal(clock.isSteady(NOW + HOUR + 1000, HOUR), true)
  assert.equal(clock.isSteady(NOW + 60 * 24 * HOUR, 2 * HOUR), false, 'sixty days ahead')
  assert.equal(clock.isSteady(NOW + 3 * HOUR, 3 * HOUR), true, 'and back')
  assert.equal(clock.isSteady(NOW + 60 * 24 * HOUR, 4 * HOUR), false)
  assert.equal(clock.isSteady(NOW + 60 * 24 * HOUR + HOUR, 5 * HOUR), true, 'for more than an hour')
})

test('after a start, a clock far ahead of all that was seen before is given an hour, too', () => {
  assert.equal(new SteadyClock(NOW).isSteady(NOW + 23 * HOUR, 0), true)
  const off = new SteadyClock(NOW)
  assert.equal(off.isSteady(NOW + 10 * 24 * HOUR, 0), false)
  assert.equal(off.isSteady(NOW + 10 * 24 * HOUR + HOUR, HOUR), true)
})

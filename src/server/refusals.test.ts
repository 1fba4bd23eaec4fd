import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NewAuditEntry } from '../audit/entry.ts'
import { Refusals } from './refusals.ts'

test('beyond its share a source is counted, and the count is told once', async () => {
  const told: NewAuditEntry[] = []
  const refusals = new Refusals(2, entry => Promise.resolve(told.push(entry)))
  assert.deepEqual([1, 2, 3, 4].map(() => refusals.count('192.0.2.1')), [true, true, false, false])
  assert.equal(refusals.count('192.0.2.2'), true)
  await refusals.close()
  await refusals.summarize(Infinity)
  assert.deepEqual(told, [{ type: 'auth.summary', remote: '192.0.2.1', refused: 2, seconds: 1 }])
})

test('counts that cannot be told, for the log cannot be written, end nothing and are told later', async () => {
  const told: NewAuditEntry[] = []
  let broken = true
  const refusals = new Refusals(1, entry => (broken ? Promise.reject(new Error('no space')) : Promise.resolve(told.push(entry))))
  for (let i = 0; i < 5; i++) refusals.count('192.0.2.1')
  await refusals.summarize(Infinity)
  refusals.count('192.0.2.1')
  broken = false
  await refusals.close()
  assert.deepEqual(told.map(e => e.type === 'auth.summary' && e.refused), [5])
})

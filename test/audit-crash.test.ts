// own process: its child processes take all the time
// long: it kills a writer and verifies the log each time
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crashWriter } from './audit-crash.ts'

test('a writer killed at six random moments loses no acknowledged entry, and its log verifies each time', async () => {
  const { acknowledged } = await crashWriter(6, 80)
  assert.ok(acknowledged > 0)
})

// own process: its child processes take all the time
// long: it kills a training run and starts it again
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crashAndResume } from './crash.ts'

test('a training run that is killed at random moments ends with the bits of one that is not', async () => {
  const { killed } = await crashAndResume(3, 600, 400)
  assert.ok(killed > 0)
})

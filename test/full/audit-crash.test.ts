import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crashWriter } from '../audit-crash.ts'

test(
  'a writer killed at two hundred random moments, in ten logs, loses no acknowledged entry, and its log ' +
    'verifies each time',
  async t => {
    for (let i = 0; i < 10; i++) {
      const figures = await crashWriter(20, 150)
      t.diagnostic(JSON.stringify(figures))
      assert.ok(figures.acknowledged > 0)
    }
  }
)

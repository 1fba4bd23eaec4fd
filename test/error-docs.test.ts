import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { errorPage } from '../scripts/error-docs.ts'

test('docs/reference/errors.md is made from the error table as it is now (node scripts/error-docs.ts)', () => {
  assert.equal(readFileSync(new URL('../docs/reference/errors.md', import.meta.url), 'utf8'), errorPage())
})

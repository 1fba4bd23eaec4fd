import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { configPage, pageWithLimits } from '../scripts/config-docs.ts'

test('docs/reference/configuration.md is made from the settings as they are now (node scripts/config-docs.ts)', () => {
  assert.equal(readFileSync(new URL('../docs/reference/configuration.md', import.meta.url), 'utf8'), configPage())
})

test('the limits in docs/reference/limits.md are up to date (node scripts/config-docs.ts)', () => {
  const page = readFileSync(new URL('../docs/reference/limits.md', import.meta.url), 'utf8')
  assert.equal(page, pageWithLimits(page))
})

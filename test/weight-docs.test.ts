import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { withTypeTable } from '../scripts/weight-docs.ts'
import { weightTypes } from '../src/weights/registry.ts'

const page = readFileSync(new URL('../docs/internals/formats.md', import.meta.url), 'utf8')

test('the table of types in docs/internals/formats.md is that of the code (node scripts/weight-docs.ts)', () => {
  assert.equal(page, withTypeTable(page))
})

test('docs/internals/formats.md describes the layout of every type that Verit decodes', () => {
  for (const name of weightTypes.keys()) {
    if (['F32', 'F16', 'BF16'].includes(name)) continue
    assert.match(page, new RegExp(`^(\\| ${name} \\| [^\\d]|\\|.* ${name} \\|)`, 'm'), name)
  }
})

/** The pages on HTTP say what the tables of routes and fields say. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fieldsPage, pageWithRoutes } from '../scripts/http-docs.ts'

const read = (name: string): string => readFileSync(new URL(`../docs/reference/${name}`, import.meta.url), 'utf8')

test('the page of request fields is up to date (node scripts/http-docs.ts)', () => {
  assert.equal(read('request-fields.md'), fieldsPage())
})

test('the table of routes is up to date (node scripts/http-docs.ts)', () => {
  assert.equal(read('http-api.md'), pageWithRoutes(read('http-api.md')))
})

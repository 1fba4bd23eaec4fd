import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { attackPage, classes, testsOfAttacks } from '../scripts/attack-table.ts'

/** How many cases each class has. */
const cases = { A: 22, B: 13, C: 9, D: 13, E: 8, G: 12, H: 12, I: 9, J: 7, K: 6, L: 6, M: 5 }
const ids = Object.entries(cases).flatMap(([letter, n]) => Array.from({ length: n }, (_, i) => `${letter}${i + 1}`))

test('each attack has its row and at least one test, and each test of an attack has its row', () => {
  assert.deepEqual(
    classes.flatMap(c => c.attacks.map(a => a.id)),
    ids
  )
  const shown = classes.flatMap(c => c.attacks.filter(a => a.shownBy.length > 0))
  for (const path of shown.flatMap(a => a.shownBy)) assert.ok(existsSync(new URL(`../${path}`, import.meta.url)), path)
  const tested = new Set([...testsOfAttacks(), ...shown].map(t => t.id))
  assert.deepEqual(
    ids.filter(id => !tested.has(id)),
    []
  )
  assert.deepEqual(
    [...tested].filter(id => !ids.includes(id)),
    []
  )
})

test('docs/evidence/attacks.md is made from the tests as they are now (node scripts/attack-table.ts)', () => {
  assert.equal(readFileSync(new URL('../docs/evidence/attacks.md', import.meta.url), 'utf8'), attackPage())
})

test('the threat model names no test, document or source that is not there, and every class of attacks', () => {
  const page = readFileSync(new URL('../docs/evidence/threat-model.md', import.meta.url), 'utf8')
  for (const [, path] of page.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g))
    assert.ok(readFileSync(new URL(path!, new URL('../docs/evidence/', import.meta.url))), path)
  const named = new Set(
    [...page.matchAll(/\b([A-EGHIJKLM])(\d+)(?:-\1?(\d+))?\b/g)].flatMap(([, letter, from, to]) =>
      Array.from({ length: Number(to ?? from) - Number(from) + 1 }, (_, i) => `${letter}${Number(from) + i}`)
    )
  )
  assert.deepEqual(
    ids.filter(id => !named.has(id)),
    []
  )
  assert.deepEqual(
    [...named].filter(id => !ids.includes(id)),
    []
  )
})

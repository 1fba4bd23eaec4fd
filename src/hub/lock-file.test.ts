import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { parseLock, readLock, writeLock } from './lock-file.ts'
import type { Pin } from './lock-file.ts'

const pin = (n: number): Pin => ({
  revision: n % 2 === 0 ? undefined : 'a'.repeat(40),
  size: n,
  digest: `sha256:${String(n % 10).repeat(64)}`
})

test('pins come back as they were written, in the order of their sources', () => {
  const folder = mkdtempSync(join(tmpdir(), 'verit-lock-'))
  try {
    const path = join(folder, 'verit.lock')
    assert.equal(readLock(path).size, 0)
    symlinkSync('loop', join(folder, 'loop'))
    assert.throws(() => readLock(join(folder, 'loop')), { code: 'VERIT_FILE_IO' })
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ minLength: 1 })), sources => {
        const pins = new Map(sources.map((s, i) => [s, pin(i)]))
        writeLock(path, pins)
        assert.deepEqual(
          [...readLock(path)].toSorted(([a], [b]) => (a < b ? -1 : 1)),
          [...pins].toSorted(([a], [b]) => (a < b ? -1 : 1))
        )
      }),
      { numRuns: 30, examples: [[['__proto__', 'constructor']]] }
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a lock file that says less, more or something else is refused', () => {
  const good = { version: 1, models: { x: { size: 1, sha256: '0'.repeat(64) } } }
  assert.equal(parseLock(JSON.stringify(good), 'l').size, 1)
  const entry = (more: object): unknown => ({ version: 1, models: { x: { size: 1, sha256: '0'.repeat(64), ...more } } })
  for (const value of [
    null,
    [],
    {},
    { version: 2, models: {} },
    { version: 1 },
    { version: 1, models: [] },
    { ...good, more: 1 },
    { version: 1, models: { x: 1 } },
    entry({ sha256: 'A'.repeat(64) }),
    entry({ sha256: '../../x' }),
    entry({ size: -1 }),
    entry({ size: 1.5 }),
    entry({ size: '1' }),
    entry({ revision: 'main' }),
    entry({ more: 1 })
  ]) {
    assert.throws(() => parseLock(JSON.stringify(value), 'l'), { code: 'VERIT_LOCK_FILE' }, JSON.stringify(value))
  }
  // who reviews a change sees the first, and the last would count
  const own = JSON.stringify(good.models.x)
  for (const text of [
    `{"version":1,"models":{"x":${own},"x":${own}}}`,
    `{"version":1,"models":{"x":${own}},"models":{}}`,
    `{"version":1,"models":{"x":{"sha256":"${'1'.repeat(64)}",${own.slice(1)}}}`
  ]) {
    assert.throws(
      () => parseLock(text, 'l'),
      (e: unknown) => VeritError.is(e, 'VERIT_LOCK_FILE') && /a name appears twice/.test(e.message),
      text
    )
  }
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), text => {
      try {
        parseLock(text, 'l')
      } catch (e) {
        assert.ok(VeritError.is(e, 'VERIT_LOCK_FILE'), String(e))
      }
    })
  )
})

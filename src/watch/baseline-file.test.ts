import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLog } from '../lib/log.ts'
import { loadBaselines, saveBaselines } from './baseline-file.ts'
import { Watch } from './watch.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-'))
const path = join(folder, 'usual.json')
process.once('exit', () => rmSync(folder, { recursive: true }))

function used(): Watch {
  const watch = new Watch()
  for (let i = 0; i < 500; i++) {
    watch.observe({
      keyId: `key_00000000000${i % 3}`,
      at: Date.UTC(2026, 10, 22) + i * 100_003,
      route: 'r',
      remote: '192.0.2.1',
      status: i % 7 === 0 ? 400 : 200,
      code: undefined,
      promptTokens: i,
      completionTokens: 3,
      prompt: `prompt ${i}`,
      promptIds: undefined,
      parameters: {}
    })
  }
  return watch
}

/** What the watch then knows, and how many warnings were given. */
function loaded(): { keys: object; warnings: number } {
  let warnings = 0
  const watch = new Watch()
  loadBaselines(path, watch, createLog({ json: true, stream: { write: () => warnings++ } }))
  return { keys: watch.baselines(), warnings }
}

test('what was usual comes back as it was, from a file that only its owner can read', async () => {
  const watch = used()
  await saveBaselines(path, watch, createLog())
  assert.deepEqual(loaded(), { keys: watch.baselines(), warnings: 0 })
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.ok(!readFileSync(path, 'utf8').includes('prompt 1'))
})

test(
  'no file is no matter; one that is damaged, of another form or open to others is a warning, and the watch ' +
    'starts anew',
  async () => {
    rmSync(path)
    assert.deepEqual(loaded(), { keys: {}, warnings: 0 })
    await saveBaselines(path, used(), createLog())
    const good = readFileSync(path, 'utf8')
    const changes: [RegExp, string][] = [
      [/\{"version":1/, '{"version":2'],
      [/key_000000000000/, '__proto__'],
      [/"mean":[\d.e-]+/, '"mean":-1'],
      [/"mean":[\d.e-]+/, '"mean":1e999'],
      [/"mean":[\d.e-]+/, '"mean":null'],
      [/"hours":\[/, '"hours":[1,'],
      [/"first":\d+/, '"first":0.5'],
      [/"peak"/, '"peek"'],
      [/$/, 'x']
    ]
    for (const [from, to] of changes) {
      writeFileSync(path, good.replace(from, to), { mode: 0o600 })
      assert.deepEqual(loaded(), { keys: {}, warnings: 1 }, to)
    }
    writeFileSync(path, good)
    chmodSync(path, 0o644)
    assert.deepEqual(loaded(), { keys: {}, warnings: 1 })
    chmodSync(path, 0o600)
  }
)

test('a file with any bytes changed is read or warned of, never an exception', async () => {
  await saveBaselines(path, used(), createLog())
  const good = readFileSync(path)
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), changes => {
      const bytes = Buffer.from(good)
      for (const [at, byte] of changes) bytes[at] = byte
      writeFileSync(path, bytes)
      const { keys, warnings } = loaded()
      assert.ok(warnings === 1 || Object.keys(keys).length === 3)
    }),
    { numRuns: 60 }
  )
})

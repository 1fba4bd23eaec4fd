/** Damaged and lying checkpoints: each ends in one VeritError or is the whole checkpoint that was saved. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { writeSafetensors } from '../src/formats/safetensors.ts'
import { VeritError } from '../src/lib/errors.ts'
import { Philox } from '../src/lib/philox.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { parametersOf } from '../src/model/parameters.ts'
import type { Parameter } from '../src/model/parameters.ts'
import { Checkpoint, saveCheckpoint } from '../src/train/checkpoint.ts'
import type { RunState } from '../src/train/checkpoint.ts'
import { parseTrainOptions } from '../src/train/options.ts'
import { trainDefaults } from '../src/train/presets.ts'
import { readSettings } from '../src/train/run-settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-checkpoint-'))
after(() => rmSync(folder, { recursive: true }))

const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 8, heads: 2, context: 8, vocab: 8 })
const parameters = parametersOf(config)
const evaluated = { step: 3, loss: 2, bitsPerByte: 1, tokens: 8 }
const state: RunState = {
  step: 3,
  config,
  options: parseTrainOptions({
    ...trainDefaults,
    steps: 9,
    warmup: 1,
    batch: 2,
    microBatches: 1,
    lr: 1e-3,
    lrFloor: 1e-4,
    seed: 5
  }),
  dataset: 'sha256:0',
  tokenizer: 'sha256:1',
  best: evaluated,
  evaluations: [evaluated]
}
const fresh = (): ((name: string, p: Parameter) => Float32Array) => {
  const all = new Map<string, Float32Array>()
  return (name, p) => {
    const key = `${name} ${p.name}`
    if (!all.has(key)) all.set(key, new Float32Array(p.shape.reduce((n, d) => n * d, 1)))
    return all.get(key)!
  }
}
const path = saveCheckpoint(folder, state, parameters, fresh(), 1)
const bytes = readFileSync(path)

/** Whether the file loads; anything but a VeritError is thrown. */
function loads(): boolean {
  try {
    using checkpoint = new Checkpoint(folder, 3)
    checkpoint.load(parameters, fresh())
    return true
  } catch (e) {
    if (VeritError.is(e) && e.code !== 'VERIT_INTERNAL') return false
    throw e
  }
}

test('2,000 flips, overwritten bytes and cuts of a checkpoint are each refused', () => {
  assert.ok(loads())
  const random = new Philox(1n, 99, 0)
  const header = Number(bytes.readBigUInt64LE()) + 8
  for (let i = 0; i < 2000; i++) {
    const at = random.word(3 * i) % (i % 4 === 0 ? bytes.length : header)
    const value = random.word(3 * i + 1) & 255
    let damaged = Buffer.from(bytes)
    if (i % 3 === 0) damaged[at]! ^= 1 << (value & 7)
    else if (i % 3 === 1) damaged[at] = value
    else damaged = damaged.subarray(0, at)
    writeFileSync(path, damaged)
    assert.ok(!loads() || damaged.equals(bytes), `damage ${i} at byte ${at}`)
  }
})

test('a state that is not what a run saves is refused, whatever it is', () => {
  const { best: _, ...withoutBest } = state
  const lies: unknown[] = [
    null,
    5,
    'state',
    [],
    {},
    withoutBest,
    { ...state, step: 4 },
    { ...state, evaluations: [null] },
    { ...state, evaluations: 3 },
    { ...state, config: null },
    { ...state, options: null },
    { ...state, best: 'best' },
    { ...state, dataset: {} },
    { ...state, options: { ...state.options, steps: 2 } }
  ]
  for (const lie of lies) {
    writeSafetensors(path, new Map(), { format: 'verit-checkpoint-1', state: JSON.stringify(lie), sha256: '' })
    assert.ok(!loads(), JSON.stringify(lie))
  }
})

test('settings of a run that are not what a run saves are refused', () => {
  for (const lie of ['null', '3', '[]', '{}', '{"data":1}', '{', '']) {
    writeFileSync(join(folder, 'run.json'), lie)
    assert.throws(
      () => readSettings(folder),
      e => VeritError.is(e) && e.code === 'VERIT_RESUME',
      lie
    )
  }
})

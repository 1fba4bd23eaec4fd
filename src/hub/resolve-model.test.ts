import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { resolveModel } from './resolve-model.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-resolve-'))
after(() => rmSync(root, { recursive: true }))
const none = join(root, 'no-store')

function folder(name: string, ...files: string[]): string {
  const path = join(root, name)
  mkdirSync(join(path, 'checkpoints'), { recursive: true })
  for (const file of files) writeFileSync(join(path, file), '')
  return path
}

test('the folder of a run stands for its model, under the name of the run', () => {
  const run = folder('my run', 'run.json', 'model.gguf', 'checkpoints/step-00000007.safetensors')
  const model = { path: join(run, 'model.gguf'), pulled: undefined, run: 'my-run' }
  assert.deepEqual(resolveModel(run, none), model)
  assert.deepEqual(resolveModel(`${run}/`, none), { ...model, path: join(`${run}/`, 'model.gguf') })
  assert.deepEqual(resolveModel(join(run, 'model.gguf'), none), model)
  assert.deepEqual(resolveModel(join(root, 'model.gguf'), none), { path: join(root, 'model.gguf'), pulled: undefined })
})

test('a run that has not ended stands for its newest checkpoint where that is wanted', () => {
  const names = ['7', '12', '100000000'].map(n => `checkpoints/step-${n.padStart(8, '0')}.safetensors`)
  const run = folder('open', 'run.json', ...names, 'checkpoints/.verit-1.tmp')
  assert.equal(resolveModel(run, none, 'checkpoint').path, join(run, names[2]!))
  assert.throws(
    () => resolveModel(run, none),
    (e: unknown) =>
      VeritError.is(e, 'VERIT_USAGE') &&
      e.what.includes('has a checkpoint of step 100,000,000') &&
      e.next.includes(`train --resume ${run}`)
  )
})

test('a text that names nothing, or nothing that can be examined, stays a path for the command to open', () => {
  const file = join(folder('file', 'run.json'), 'run.json')
  for (const path of ['', 'none', 'a'.repeat(300), 'a/'.repeat(3000), 'nul\u0000', join(file, 'below')]) {
    assert.deepEqual(resolveModel(path, none), { path, pulled: undefined })
  }
})

test('other folders are named for what they are', () => {
  const dataset = folder('dataset')
  writeFileSync(join(dataset, 'manifest.json'), '{\n  "format": "verit-dataset",')
  const cases: [string, RegExp][] = [
    [dataset, /is a dataset, not a model\. Train on it/],
    [folder('begun', 'run.json'), /without a checkpoint so far/],
    [folder('hf', 'config.json'), /Hugging Face model\. Convert it first: verit convert/],
    [folder('empty'), /without a model/]
  ]
  for (const [path, message] of cases) {
    const named = (e: unknown): boolean => VeritError.is(e, 'VERIT_USAGE') && message.test(e.message)
    assert.throws(() => resolveModel(path, none, 'checkpoint'), named)
  }
})

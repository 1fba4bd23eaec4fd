import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { FixtureFolder } from '../scripts/fixture-folder.ts'
import { readSafetensors, writeSafetensors } from '../src/formats/safetensors.ts'
import type { SafetensorsInput } from '../src/formats/safetensors.ts'
import { VeritError } from '../src/lib/errors.ts'

const script = fileURLToPath(new URL('../scripts/fixture.ts', import.meta.url))
const folderOf = (kind: string): string => fileURLToPath(new URL(`fixtures/${kind}`, import.meta.url))
const run = (folder: string): { stdout: string; stderr: string; status: number | null } =>
  spawnSync(process.execPath, [script, folder], { encoding: 'utf8', timeout: 60_000 })

interface Errors {
  maxAbsLogits: number
  maxAbsLosses: number
  maxRelGradients: number
  maxRelWeightsAfter: number
  maxAbsWeightsAfter: number
}

function assertClose({ stdout, stderr }: { stdout: string; stderr: string }): void {
  assert.equal(stderr, '')
  const errors = JSON.parse(stdout) as Errors
  for (const key of ['maxAbsLogits', 'maxAbsLosses', 'maxRelWeightsAfter', 'maxAbsWeightsAfter'] as const) {
    assert.ok(typeof errors[key] === 'number' && errors[key] <= 2e-5, stdout)
  }
  assert.ok(typeof errors.maxRelGradients === 'number' && errors.maxRelGradients <= 1e-4, stdout)
}

for (const kind of ['gpt', 'bitnet']) {
  test(`three training steps of ${kind} agree with PyTorch in float64`, () => assertClose(run(folderOf(kind))))
}

interface Json {
  config: Record<string, unknown>
  optimizer: Record<string, unknown>
  tokens: number[][][]
}

/** Gives `use` a changed copy of a fixture, its tensors in F64. */
function changed<T>(kind: string, edit: (json: Json) => void, use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'verit-fixture-'))
  try {
    const json = JSON.parse(readFileSync(join(folderOf(kind), 'fixture.json'), 'utf8')) as Json
    edit(json)
    writeFileSync(join(folder, 'fixture.json'), JSON.stringify(json))
    const tensors = new Map<string, SafetensorsInput>()
    for (const [name, { shape, data }] of readSafetensors(join(folderOf(kind), 'tensors.safetensors')).tensors) {
      tensors.set(name, { dtype: 'F64', shape, data: Float64Array.from(new Float32Array(data.buffer)) })
    }
    writeSafetensors(join(folder, 'tensors.safetensors'), tensors)
    return use(`${folder}/`)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('a reference may hold F64 tensors, sequences shorter than the context, and leave out what has a default', () => {
  assertClose(
    changed(
      'bitnet',
      ({ config, optimizer }) => {
        config['context'] = 64
        for (const key of ['eps', 'theta', 'seed', 'batch']) delete config[key]
        for (const key of ['beta1', 'beta2', 'eps']) delete optimizer[key]
      },
      run
    )
  )
  assertClose(changed('gpt', ({ config }) => delete config['bias'], run))
})

test('a reference that does not fit together is refused in a sentence', () => {
  const cases: readonly [RegExp, (json: Json) => void][] = [
    [/configuration has no parameter for the tensor weight\..*\.bias/, ({ config }) => (config['bias'] = false)],
    [
      /weight\.token_embedding: it has 2048 elements where the configuration needs 4096/,
      ({ config }) => (config['vocab'] = 128)
    ],
    [/sequences have 17 tokens; the context allows 2 to 9/, ({ config }) => (config['context'] = 8)],
    [/token 64 is not in the vocabulary of 64/, ({ tokens }) => (tokens[2]![1]![3] = 64)],
    [/optimizer\.lr is not a number/, ({ optimizer }) => delete optimizer['lr']]
  ]
  for (const [expected, edit] of cases) {
    const read = (folder: string): void => {
      using fixture = new FixtureFolder(folder)
      fixture.read('weight.token_embedding', fixture.config.vocab * fixture.config.hidden)
    }
    changed('gpt', edit, folder =>
      assert.throws(
        () => read(folder),
        e => VeritError.is(e) && expected.test(e.message)
      )
    )
  }
  const missing = run(join(tmpdir(), 'verit-no-such-folder'))
  assert.match(missing.stderr, /^There is no file or folder .*fixture\.json/)
  assert.equal(missing.stdout, '')
  assert.equal(missing.status, 2)
})

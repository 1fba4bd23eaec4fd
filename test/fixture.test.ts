import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('../scripts/fixture.ts', import.meta.url))

interface Errors {
  maxAbsLogits: number
  maxAbsLosses: number
  maxRelGradients: number
  maxRelWeightsAfter: number
  maxAbsWeightsAfter: number
}

for (const kind of ['gpt', 'bitnet']) {
  test(`three training steps of ${kind} agree with PyTorch in float64`, () => {
    const folder = fileURLToPath(new URL(`fixtures/${kind}`, import.meta.url))
    const { stdout, stderr } = spawnSync(process.execPath, [script, folder], { encoding: 'utf8', timeout: 60_000 })
    assert.equal(stderr, '')
    const errors = JSON.parse(stdout) as Errors
    assert.ok(errors.maxAbsLogits <= 2e-5, stdout)
    assert.ok(errors.maxAbsLosses <= 2e-5, stdout)
    assert.ok(errors.maxRelGradients <= 1e-4, stdout)
    assert.ok(errors.maxRelWeightsAfter <= 2e-5, stdout)
    assert.ok(errors.maxAbsWeightsAfter <= 2e-5, stdout)
  })
}

/**
 * A few thousand inputs of each fuzzer (scripts/fuzz.ts runs them for as long as one likes), and each input that was
 * ever a finding.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { accepted, targets } from '../scripts/fuzz-targets.ts'

const COUNTS: Readonly<Record<string, number>> = {
  gguf: 3000,
  safetensors: 5000,
  torch: 3000,
  tokenizer: 1000,
  sentencepiece: 1500,
  template: 300,
  frames: 5000
}

for (const [name, make] of Object.entries(targets)) {
  test(`${COUNTS[name]} mutated inputs of ${name} each end in order or in one clear error`, async () => {
    const target = await make()
    let good = 0
    for (let i = 0; i < COUNTS[name]!; i++) {
      const input = target.input(20261122, i)
      try {
        if (accepted(target, input)) good++
      } catch (e) {
        assert.fail(`input ${i} of seed 20261122: ${e instanceof Error ? e.stack : String(e)}`)
      }
    }
    assert.ok(good > 0 && good < COUNTS[name]!, `${good} were accepted`)
    assert.deepEqual(target.input(1, 5), target.input(1, 5))
  })
}

const findings = new URL('./fuzz-findings/', import.meta.url)

test('what was once a finding of a fuzzer ends in order', async () => {
  for (const file of existsSync(findings) ? readdirSync(findings) : []) {
    const target = await targets[file.split('-')[0]!]!()
    accepted(target, readFileSync(new URL(file, findings)))
  }
})

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import type { ModelConfig } from '../model/config.ts'
import { planRun } from './plan-run.ts'
import type { RunWishes } from './plan-run.ts'
import { readRunFile } from './run-file.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-plan-'))
after(() => rmSync(root, { recursive: true }))

const plan = (wishes: Partial<RunWishes>): ModelConfig => planRun({ model: {}, train: {}, ...wishes }, 300, 1e6).config
const file = (model: object, train: object = {}): RunWishes['file'] => ({
  path: 'my run.json',
  model: { ...model },
  train: { ...train }
})

function refusal(wishes: Partial<RunWishes>): string {
  try {
    plan(wishes)
  } catch (e) {
    assert.ok(VeritError.is(e), String(e))
    return e.message
  }
  throw new Error('it was accepted')
}

test('the kind of a model counts wherever it is given', () => {
  assert.equal(plan({}).kind, 'bitnet')
  assert.equal(plan({ kind: 'gpt' }).kind, 'gpt')
  assert.equal(plan({ kind: 'gpt', depth: 2 }).kind, 'gpt')
  assert.equal(plan({ file: file({ kind: 'gpt' }) }).kind, 'gpt')
  assert.equal(plan({ file: file({ kind: 'gpt' }), depth: 2 }).kind, 'gpt')
  assert.equal(plan({ file: file({ kind: 'gpt' }), kind: 'bitnet' }).kind, 'bitnet')
  assert.equal(plan({ kind: 'gpt', preset: 'shakespeare' }).kind, 'gpt')
  const layered = plan({ kind: 'gpt', model: { layers: 2 } })
  assert.deepEqual([layered.kind, layered.layers], ['gpt', 2])
})

test('a preset of another kind is refused, and says which there are', () => {
  const asked = refusal({ preset: 'shakespeare', kind: 'bitnet' })
  assert.match(asked, /shakespeare is a gpt model, and --kind asks.*shakespeare-bitnet/)
  assert.match(refusal({ preset: 'bitnet', file: file({ kind: 'gpt' }) }), /model\.kind in my run\.json asks for a gpt/)
  assert.match(refusal({ file: file({ kind: 'rnn' }) }), /model\.kind in my run\.json must be 'gpt' or 'bitnet'/)
})

test('an error names what was given: the option, or the field and its file', () => {
  const cases: [Partial<RunWishes>, RegExp][] = [
    [{ file: file({}, { patience: 3 }) }, /option train\.patience in my run\.json does not exist\./],
    [{ file: file({}, { evalEvry: 3 }) }, /train\.evalEvry in my run\.json does not exist; perhaps evalEvery is meant/],
    [{ file: file({}, { lr: -1 }) }, /train\.lr in my run\.json must be a number above 0/],
    [{ file: file({}, { lr: 1e-3 }), train: { lr: -1 } }, /option --lr must be/],
    [{ file: file({ kvHeads: 2, kind: 'gpt' }) }, /model\.kvHeads in my run\.json is not a field of a gpt model/],
    [{ kind: 'gpt', model: { kvHeads: 2 } }, /--kv-heads is not a field of a gpt model/],
    [{ file: file({ steps: 5 }) }, /model\.steps in my run\.json is not a field.*; it belongs under train/],
    [{ preset: 'shakespeare', model: { hidden: 17 } }, /--hidden must be a multiple of heads/],
    [{ file: file({ heads: 3 }), preset: 'shakespeare', model: { hidden: 100 } }, /--hidden must be/]
  ]
  for (const [wishes, message] of cases) assert.match(refusal(wishes), message)
})

test('a configuration file that cannot be used is named with what is wrong in it', () => {
  const path = join(root, 'config.json')
  const cases = {
    '{': /is not JSON/,
    '[]': /is not an object/,
    '{"train": 3}': /a train that/,
    '{"patience": 3}': /has the field "patience" beside model and train/
  }
  for (const [content, message] of Object.entries(cases)) {
    writeFileSync(path, content)
    const named = (e: unknown): boolean =>
      VeritError.is(e, 'VERIT_USAGE') && e.what.startsWith(path) && message.test(e.what)
    assert.throws(() => readRunFile(path), named, content)
  }
  writeFileSync(path, '\ufeff{"model": {"layers": 2}}')
  assert.deepEqual(readRunFile(path), { path, model: { layers: 2 }, train: {} })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openExecutor } from '../exec/index.ts'
import type { Executor } from '../exec/plan.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { parseModelConfig } from './config.ts'
import { typesOfMix } from './types-of-mix.ts'
import { servingForm, typesOf } from './weights.ts'
import type { ServingForm } from './weights.ts'
import { base3Byte, base3Code } from '../ops/base3.ts'
import { base3CodeBytes, ternaryCodeBytes } from '../weights/random-fill.ts'
import { mixNames } from '../weights/type-mix.ts'
import { randomWeights } from './random-weights.ts'
import { ServingModel } from '../engine/serving-model.ts'

const bitnet = parseModelConfig({
  kind: 'bitnet',
  layers: 2,
  hidden: 256,
  heads: 4,
  kvHeads: 2,
  ffn: 384,
  context: 32,
  vocab: 300
})
const gpt = parseModelConfig({ kind: 'gpt', layers: 2, hidden: 64, heads: 2, context: 32, vocab: 300, bias: true })

const formOf = (config: typeof bitnet, embedding: string, codes: 'two-bit' | 'base3'): ServingForm => {
  const screen = embedding === 'screened'
  return servingForm(config, { type: typesOf({ embedding: screen ? 'F16' : embedding }), codes, screen })
}

const cases = (['two-bit', 'base3'] as const).flatMap(codes =>
  ['F32', 'F16', 'Q8_0', 'Q6_K', 'screened'].flatMap(embedding => {
    const wide = [{ name: `bitnet ${embedding} ${codes}`, config: bitnet, form: formOf(bitnet, embedding, codes) }]
    if (embedding === 'Q6_K' || embedding === 'screened') return wide
    return [...wide, { name: `gpt ${embedding} ${codes}`, config: gpt, form: formOf(gpt, embedding, codes) }]
  })
)

/** Rows of whole super-blocks, and rows that are none. */
const size = { layers: 2, heads: 4, kvHeads: 2, context: 32, vocab: 300, eps: 1e-5 }
const plain = (
  [
    ['llama', 256],
    ['qwen2', 64],
    ['qwen3', 64]
  ] as const
).map(([kind, hidden]) => parseModelConfig({ ...size, kind, hidden, ffn: 2 * hidden }))
const mixed = mixNames.flatMap(mix =>
  plain.map(config => {
    const form = servingForm(config, { type: typesOfMix(config, mix), codes: 'two-bit' })
    return { name: `${config.kind} ${mix}`, config, form }
  })
)

test(
  'random weights of every form give a model whose logits are numbers, of many values, and the same on every ' +
    'executor',
  async () => {
    const logits = async (executor: Executor, config: typeof bitnet, form: ServingForm): Promise<number[]> => {
      using model = new ServingModel(executor, config, await randomWeights(executor, config, form), {
        slots: 1,
        rows: 4,
        context: 16
      })
      return (
        await model.run([3, 299, 7].map((id, position) => ({ id, position, slot: 0, wanted: position === 2 })))
      ).flatMap(row => [...row])
    }
    for (const { name, config, form } of [...cases, ...mixed]) {
      const native = await logits(openExecutor({ threads: 2 }), config, form)
      const slow = await logits(referenceExecutor(), config, form)
      assert.deepEqual(native, slow, name)
      assert.ok(native.every(Number.isFinite) && new Set(native).size > 200, name)
    }
  }
)

test('the bytes of ternary codes are all that there are, each once', () => {
  assert.equal(new Set(ternaryCodeBytes).size, 81)
  assert.ok(ternaryCodeBytes.every(b => [0, 2, 4, 6].every(s => ((b >> s) & 3) < 3)))
  assert.equal(new Set(base3CodeBytes).size, 243)
  for (const b of base3CodeBytes) assert.equal(base3Byte([0, 1, 2, 3, 4].map(i => base3Code(b, i))), b)
})

test('progress tells how many bytes of all are made', async () => {
  const told: [done: number, of: number][] = []
  const { bytes } = await randomWeights(
    referenceExecutor(),
    bitnet,
    formOf(bitnet, 'Q6_K', 'two-bit'),
    (done, of) => void told.push([done, of])
  )
  assert.ok(told.every(([done, of], i) => of === bytes.length && done <= of && (i === 0 || done > told[i - 1]![0])))
})

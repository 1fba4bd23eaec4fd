// own process: it measures the memory of its process
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { instructionSets, openExecutor } from '../exec/index.ts'
import { PlanMemory } from '../exec/plan-memory.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { parseModelConfig } from '../model/config.ts'
import type { ModelConfig } from '../model/config.ts'
import { batchInputs, trainingGraph } from '../model/graphs.ts'
import { initialWeights } from '../model/initialise.ts'
import { loadModel } from '../model/load-gguf.ts'
import { randomWeights } from '../model/random-weights.ts'
import { servingForm, typesOf } from '../model/weights.ts'
import { chooseTernaryPacking } from '../weights/ternary-packing.ts'
import { writeRandomModel } from '../bench/random-model.ts'
import { ServingModel } from './serving-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-serving-'))
after(() => rmSync(folder, { recursive: true }))

const models: Record<string, ModelConfig> = {
  gpt: parseModelConfig({ kind: 'gpt', layers: 2, hidden: 32, heads: 2, context: 40, vocab: 261, bias: true }),
  bitnet: parseModelConfig({
    kind: 'bitnet',
    layers: 2,
    hidden: 32,
    heads: 4,
    kvHeads: 2,
    ffn: 80,
    context: 40,
    vocab: 261
  })
}
const prompts = [0, 1, 2, 3].map(p => Array.from({ length: 40 - 7 * p }, (_, i) => (p * 57 + i * (31 + p)) % 261))

/** Logits of all positions of the first prompt by the graph of training. */
async function trainingLogits(config: ModelConfig): Promise<Float32Array> {
  const executor = openExecutor({ threads: 1 })
  const shape = { batch: 1, context: 40 }
  const { plan, layout, constants } = trainingGraph(config, shape, { logits: true })
  const memory = new PlanMemory(
    executor,
    plan,
    {},
    { ...constants, ...batchInputs(shape), ids: Int32Array.from(prompts[0]!), lossScale: Float32Array.of(1) }
  )
  const initial = initialWeights(config, 1)
  const weights = memory.f32('weights')
  for (const e of layout.entries) weights.set(initial.get(e.name)!, e.offset / 4)
  await executor.load(plan).run(memory.buffers)
  return memory.f32('logits').slice(0, 40 * config.vocab)
}

for (const [kind, config] of Object.entries(models)) {
  test(
    `${kind}: logits are the same bits in training, alone, among four, and in pieces of any length, on every ` +
      'instruction set',
    async () => {
      const path = join(folder, `${kind}.gguf`)
      await writeRandomModel(path, openExecutor({ threads: 1 }), config)
      const training = await trainingLogits(config)
      const bits = (x: Float32Array): Buffer => Buffer.from(x.slice().buffer)
      /** Logits of the last token of each prompt, alone and at once, on the first executor. */
      let last: Buffer[] | undefined
      for (const instructionSet of instructionSets()) {
        using file = openGguf(path)
        const executor = openExecutor({ threads: instructionSet === 'avx2' ? 1 : 2, instructionSet })
        const loaded = await loadModel(file, executor)
        using model = new ServingModel(executor, config, loaded.weights, { slots: 4, rows: 160 })

        for (const pieces of [[40], [1, 39], [17, 16, 7], Array<number>(40).fill(1), [3, 30, 2, 5]]) {
          const slot = pieces.length % 4
          let from = 0
          for (const n of pieces) {
            const rows = prompts[0]!
              .slice(from, from + n)
              .map((id, i) => ({ id, position: from + i, slot, wanted: i === n - 1 }))
            const [logits] = await model.run(rows)
            from += n
            assert.deepEqual(
              bits(logits!),
              bits(training.subarray((from - 1) * config.vocab, from * config.vocab)),
              `${instructionSet}, ${pieces.join()}, ${from}`
            )
          }
        }
        const rowsOf = (p: number, slot: number): { id: number; position: number; slot: number; wanted: boolean }[] =>
          prompts[p]!.map((id, position) => ({ id, position, slot, wanted: position === prompts[p]!.length - 1 }))
        const alone: Buffer[] = []
        for (const p of prompts.keys()) alone.push(bits((await model.run(rowsOf(p, 2)))[0]!))
        assert.deepEqual(
          (await model.run([3, 1, 0, 2].flatMap((p, i) => rowsOf(p, i)))).map(bits),
          [3, 1, 0, 2].map(p => alone[p])
        )
        assert.deepEqual(alone, (last ??= alone))
      }
    }
  )
}

test(
  'of a cache and an arena for many long sequences, a short one takes little',
  { skip: process.platform !== 'linux' || openExecutor().name === 'reference' },
  async () => {
    const config = parseModelConfig({
      kind: 'bitnet',
      layers: 24,
      hidden: 256,
      heads: 4,
      kvHeads: 4,
      ffn: 512,
      context: 4096,
      vocab: 4096
    })
    const executor = openExecutor({ threads: 1 })
    const weights = await randomWeights(
      executor,
      config,
      servingForm(config, { type: typesOf({ embedding: 'F16' }), codes: chooseTernaryPacking(executor) })
    )
    const before = process.memoryUsage.rss()
    using model = new ServingModel(executor, config, weights, { slots: 64, pages: 1024 })
    model.setPages(0, [0])
    await model.run([{ id: 1, position: 0, slot: 0, wanted: true }])
    // 48 buffers of 16 MiB: with large pages it would be 96 MiB.
    assert.ok(process.memoryUsage.rss() < before + 48 * 2 ** 20)
  }
)

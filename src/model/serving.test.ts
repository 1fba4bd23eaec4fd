import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { PlanMemory } from '../exec/plan-memory.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { VeritError } from '../lib/errors.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { parseModelConfig } from './config.ts'
import type { ModelConfig } from './config.ts'
import { exportGguf } from './export-gguf.ts'
import { architectureOf } from './gguf-config.ts'
import { batchInputs, servingGraph, trainingGraph } from './graphs.ts'
import { initialWeights } from './initialise.ts'
import { loadModel } from './load-gguf.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-serving-'))
after(() => rmSync(root, { recursive: true }))

const letters = [...'abcdefghijklmnopqrs']
const tokenizer = Tokenizer.fromParts({
  tokens: letters,
  tokenTypes: letters.map(() => 1),
  merges: [],
  pretokenizer: 'character'
})
const executor = referenceExecutor()
const context = 23
const models: ModelConfig[] = [
  parseModelConfig({ kind: 'gpt', layers: 2, hidden: 20, heads: 2, context, vocab: 19, bias: true }),
  parseModelConfig({ kind: 'bitnet', layers: 2, hidden: 32, heads: 4, kvHeads: 2, ffn: 36, context, vocab: 19 }),
  parseModelConfig({
    kind: 'bitnet',
    layers: 1,
    hidden: 32,
    heads: 2,
    ffn: 36,
    context,
    vocab: 19,
    activation: 'silu',
    tied: false
  }),
  parseModelConfig({
    kind: 'bitnet',
    layers: 1,
    hidden: 48,
    heads: 4,
    kvHeads: 2,
    ffn: 36,
    context,
    vocab: 19,
    activation: 'silu',
    subNorms: false
  })
]
const prompts = Array.from({ length: 4 }, (_, b) =>
  Int32Array.from({ length: context }, (_, i) => (i * i * (b + 1) + 3 * i + b) % 19)
)

/** Logits [context, vocab] of each prompt as the training graph computes them. */
async function trainingLogits(config: ModelConfig, weights: Map<string, Float32Array>): Promise<Float32Array[]> {
  const { plan, layout, constants } = trainingGraph(config, { batch: 4, context }, { logits: true })
  const run = new PlanMemory(
    executor,
    plan,
    {},
    { ...constants, ...batchInputs({ batch: 4, context }), lossScale: Float32Array.of(1) }
  )
  for (const e of layout.entries) run.f32('weights').set(weights.get(e.name)!, e.offset / 4)
  prompts.forEach((p, b) => run.i32('ids').set(p, b * context))
  await executor.load(plan).run(run.buffers)
  return prompts.map((_, b) => run.f32('logits').slice(b * context * config.vocab, (b + 1) * context * config.vocab))
}

for (const config of models) {
  test(
    `serving a ${architectureOf(config)} gives the logits of training to the bit: alone, in a batch, and in ` +
      'pieces of any length',
    async () => {
      const weights = initialWeights(config, 3)
      const expected = await trainingLogits(config, weights)
      const path = join(root, `${architectureOf(config)}.gguf`)
      await exportGguf(path, executor, config, tokenizer, p => weights.get(p.name)!, { name: 'test' })
      using file = openGguf(path)
      const told: number[][] = []
      const model = await loadModel(file, executor, { onProgress: (...amounts) => void told.push(amounts) })
      const all = file.tensors.reduce((n, { byteLength }) => n + byteLength, 0)
      assert.deepEqual(
        told.map(([, of]) => of),
        told.map(() => all)
      )
      assert.ok(
        told.at(-1)![0] === all && told.every(([done], i) => i === 0 || done! >= told[i - 1]![0]!),
        'what was read grows to all of it'
      )
      assert.deepEqual({ ...model.config, dropout: 0, eps: 0 }, { ...config, dropout: 0, eps: 0 })

      const { plan, constants } = servingGraph(
        config,
        { rows: 4 * context, outputs: 4 * context, cacheRows: 128, sequences: 4 },
        model.weights.form
      )
      const loaded = executor.load(plan)
      for (const [sequences, piece] of [
        [[2], context],
        [[0, 1, 2, 3], context],
        [[1], 1],
        [[3], 5],
        [[0, 3], 7]
      ] as const) {
        const run = new PlanMemory(executor, plan, { weights: model.weights.bytes }, constants)
        for (let from = 0; from < context; from += piece) {
          const n = Math.min(piece, context - from)
          const rows = sequences.flatMap((s, slot) =>
            Array.from({ length: n }, (_, i) => ({ s, slot, position: from + i }))
          )
          run.i32('ids').set(rows.map(r => prompts[r.s]![r.position]!))
          run.i32('positions').set(rows.map(r => r.position))
          run.i32('pages').set([5, 0, 7, 2, 1, 4, 6, 3]) // two of each sequence
          run
            .i32('cacheRow')
            .set(rows.map(r => 16 * run.i32('pages')[2 * r.slot + (r.position >> 4)]! + (r.position % 16)))
          run.i32('sequence').set(rows.map(r => r.slot))
          run.i32('length').set(rows.map(r => r.position + 1))
          // The last row of each sequence first: only wanted rows are computed, in the order asked for.
          const wanted = rows.map((_, i) => i).reverse()
          run.i32('outputRows').set(wanted)
          await loaded.run(run.buffers, { rows: rows.length, outputs: wanted.length })
          wanted.forEach((row, i) => {
            const { s, position } = rows[row]!
            const got = run.f32('logits').slice(i * config.vocab, (i + 1) * config.vocab)
            const want = expected[s]!.slice(position * config.vocab, (position + 1) * config.vocab)
            assert.deepEqual(got, want, `sequence ${s}, position ${position}, pieces of ${piece}`)
          })
        }
      }
    }
  )
}

test('a file whose tensors or metadata do not make a model that Verit runs is refused', async () => {
  const [config] = models as [ModelConfig]
  const weights = initialWeights(config, 3)
  const refused = async (change: (path: string) => Promise<unknown>, code: string): Promise<void> => {
    const path = join(root, 'bad.gguf')
    await change(path)
    using file = openGguf(path)
    await assert.rejects(loadModel(file, executor), (e: unknown) => VeritError.is(e) && e.code === code)
  }
  const values = (p: { name: string }): Float32Array => weights.get(p.name)!
  await refused(
    path =>
      exportGguf(
        path,
        executor,
        config,
        tokenizer,
        p => {
          const v = Float32Array.from(values(p))
          if (p.name === 'final_norm.weight') v[0] = NaN
          return v
        },
        { name: 'test' }
      ),
    'VERIT_TENSOR'
  )
  const good = join(root, 'gpt2.gguf')
  type Change = (key: string, value: GgufValue) => GgufValue | undefined
  const rewrite =
    (metadata: Change, tensor: (name: string) => boolean) =>
    async (path: string): Promise<void> => {
      using file = openGguf(good)
      writeGguf(path, {
        metadata: [...file.metadata.entries].flatMap(([key, value]) => {
          const changed = metadata(key, value)
          return changed === undefined ? [] : [[key, changed] as const]
        }),
        tensors: file.tensors
          .filter(t => tensor(t.name))
          .map(({ name, type, shape }) => ({ name, type, shape, data: file.readTensor(name) }))
      })
    }
  const keep = (): boolean => true
  const change = (key: string, to: GgufValue | undefined) => rewrite((k, value) => (k === key ? to : value), keep)
  await refused(
    rewrite(
      (_, value) => value,
      name => name !== 'output_norm.weight'
    ),
    'VERIT_GGUF'
  )
  await refused(change('verit.activation', gguf.string('gelu-quick')), 'VERIT_GGUF')
  await refused(change('general.architecture', gguf.string('mamba')), 'VERIT_MODEL_FILE')
  await refused(change('general.architecture', gguf.string('bitnet')), 'VERIT_GGUF')
  await refused(change('gpt2.block_count', gguf.u32(1)), 'VERIT_MODEL_FILE')
  await refused(change('gpt2.block_count', gguf.u32(3)), 'VERIT_GGUF')
  await refused(change('gpt2.attention.head_count', gguf.u32(3)), 'VERIT_GGUF')
  await refused(change('gpt2.context_length', gguf.u32(1 << 20)), 'VERIT_MODEL_FILE')
  await refused(change('tokenizer.ggml.tokens', gguf.strings(letters.slice(1))), 'VERIT_TOKENIZER_FILE')
  await refused(change('tokenizer.ggml.model', gguf.string('bert')), 'VERIT_MODEL_FILE')
})

/**
 * Models of other programs give one set of logits, whatever computes them: instruction set, threads, batch, pieces of
 * the prompt, and pages that another sequence has filled.
 */
// long: every architecture and mix runs on every instruction set
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { instructionSets, openExecutor } from '../src/exec/index.ts'
import type { Executor } from '../src/exec/plan.ts'
import { ServingModel } from '../src/engine/serving-model.ts'
import type { Row } from '../src/engine/serving-model.ts'
import { parseModelConfig } from '../src/model/config.ts'
import type { ModelConfig } from '../src/model/config.ts'
import { ggufName } from '../src/model/gguf-config.ts'
import { randomWeights } from '../src/model/random-weights.ts'
import { servingForm } from '../src/model/weights.ts'
import { chooseTernaryPacking } from '../src/weights/ternary-packing.ts'
import { typeInMix } from '../src/weights/type-mix.ts'
import type { MixName } from '../src/weights/type-mix.ts'

const TOKENS = 40
const PAGES = 3
const shape = {
  layers: 3,
  hidden: 256,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  ffn: 512,
  context: 64,
  vocab: 320,
  eps: 1e-6
}
const configs = [
  parseModelConfig({ kind: 'llama', ...shape }),
  parseModelConfig({ kind: 'qwen3', ...shape }),
  parseModelConfig({ kind: 'gemma3', ...shape, window: 16, windowPeriod: 2 }),
  parseModelConfig({ kind: 'qwen3moe', ...shape, experts: 8, expertsUsed: 2, expertFfn: 256 })
]
const mixes: readonly MixName[] = ['Q4_K_M', 'Q8_0', 'F16']

const prompt = (sequence: number): number[] =>
  Array.from({ length: TOKENS }, (_, i) => (i * i * (sequence + 1) + 7 * i + 3 * sequence) % shape.vocab)

/** Logits of the first sequence at each position, as one digest. */
class Digest {
  readonly #logits: Float32Array[] = []

  take(position: number, logits: Float32Array): void {
    assert.ok(logits.every(Number.isFinite) && new Set(logits).size > 100, 'logits are numbers, of many values')
    this.#logits[position] = logits.slice()
  }

  get hex(): string {
    assert.equal(this.#logits.length, TOKENS)
    const hash = createHash('sha256')
    for (const row of this.#logits) hash.update(new Uint8Array(row.buffer))
    return hash.digest('hex')
  }
}

/** Runs sequences side by side in pieces of so many tokens, from a position on. */
async function run(
  model: ServingModel,
  slots: readonly number[],
  piece: number,
  into: Digest,
  from = 0
): Promise<void> {
  for (let at = from; at < TOKENS; at += piece) {
    const rows = slots.flatMap(slot =>
      prompt(slot % 8)
        .slice(at, at + piece)
        .map((id, i): Row => ({ id, position: at + i, slot, wanted: true }))
    )
    const logits = await model.run(rows)
    for (const [r, { position, slot }] of rows.entries()) if (slot % 8 === 0) into.take(position, logits[r]!)
  }
}

const ways: Readonly<Record<string, (model: ServingModel, into: Digest) => Promise<void>>> = {
  alone: (model, into) => run(model, [0], 1, into),
  whole: (model, into) => run(model, [0], TOKENS, into),
  pieces: (model, into) => run(model, [0], 7, into),
  'batch of 8': (model, into) => run(model, [3, 0, 1, 2, 4, 5, 6, 7], 1, into),
  // the ninth slot begins with two pages that the first has filled
  'prefix of another sequence': async (model, into) => {
    await run(model, [0], TOKENS, into)
    model.setPages(8, [0, 1, 26])
    await run(model, [8], 3, into, 32)
  }
}

async function digests(
  executor: Executor,
  config: ModelConfig,
  mix: MixName,
  names: readonly string[]
): Promise<string[]> {
  const type = ({ name, shape: dimensions }: { name: string; shape: readonly number[] }): string => {
    const [, layer = '-1'] = /^blocks\.(\d+)\./.exec(name) ?? []
    const matrix = ggufName(config, name)
      .replace(/^blk\.\d+\./, '')
      .replace(/\.weight$/, '')
    return typeInMix(mix, { name: matrix, layer: Number(layer), layers: config.layers, inputs: dimensions.at(-1)! })
  }
  const weights = await randomWeights(
    executor,
    config,
    servingForm(config, { type, codes: chooseTernaryPacking(executor) })
  )
  const found: string[] = []
  for (const name of names) {
    const options = {
      slots: 9,
      rows: 8 * TOKENS,
      outputs: 8 * TOKENS,
      context: 64,
      pages: 9 * PAGES,
      cacheType: 'f16' as const
    }
    using model = new ServingModel(executor, config, weights, options)
    for (let slot = 0; slot < 9; slot++)
      model.setPages(
        slot,
        [0, 1, 2].map(page => PAGES * slot + page)
      )
    const into = new Digest()
    await ways[name]!(model, into)
    found.push(into.hex)
  }
  return found
}

const sets = instructionSets().filter(set => set !== 'reference')

for (const config of configs) {
  test(
    `${config.kind} gives one set of logits`,
    { skip: sets.length === 0 ? 'the native kernels are not built' : false },
    async () => {
      for (const mix of mixes) {
        const found = new Map<string, string>()
        for (const instructionSet of sets) {
          // plain C is slow, and differs in its instructions alone
          for (const threads of instructionSet === 'baseline' ? [2] : [1, 2, 3]) {
            const names = threads === 2 && instructionSet !== 'baseline' ? Object.keys(ways) : ['alone', 'whole']
            const hex = await digests(openExecutor({ threads, instructionSet }), config, mix, names)
            for (const [i, name] of names.entries())
              found.set(`${instructionSet}, ${threads} threads, ${name}`, hex[i]!)
          }
        }
        assert.equal(new Set(found.values()).size, 1, JSON.stringify([mix, ...found], null, 1))
      }
    }
  )
}

/**
 * One set of bits at the size that people use: random weights of the shape of BitNet b1.58 2B-4T through a file, on
 * every instruction set, with one and two threads and in both packings of ternary weights; a prompt, single tokens and
 * three sequences at once. Takes 1.2 GB of disk and about three of memory.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { bestLogits } from '../../src/sampler/top-logits.ts'
import { writeRandomPacked } from '../../src/bench/random-packed.ts'
import { ServingModel } from '../../src/engine/serving-model.ts'
import { instructionSets, openExecutor } from '../../src/exec/index.ts'
import type { Executor } from '../../src/exec/plan.ts'
import { openGguf } from '../../src/formats/gguf-reader.ts'
import type { BitnetConfig } from '../../src/model/config.ts'
import { loadModel } from '../../src/model/load-gguf.ts'
import { modelOfShape } from '../../src/model/measured-shapes.ts'
import { chooseTernaryPacking } from '../../src/weights/ternary-packing.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-2b4t-'))
after(() => rmSync(dir, { recursive: true }))
const path = join(dir, 'random.gguf')

/** SHA-256 of all logits of the same tokens, or of the 40 largest of each row. */
async function bits(executor: Executor, { packing = 'auto', screen = false, top = 0 } = {}): Promise<string> {
  using file = openGguf(path)
  const { config, weights } = await loadModel(file, executor, { packing, screen })
  using model = new ServingModel(executor, config, weights, { slots: 3, rows: 16, context: 64 })
  const hash = createHash('sha256')
  const run = async (rows: readonly [slot: number, position: number][]): Promise<void> => {
    const logits = await model.run(
      rows
        .map(([slot, position]) => ({
          id: (position * 7919 + slot * 104_729 + 5) % config.vocab,
          position,
          slot,
          wanted: true
        }))
        .map((row, i, all) => ({ ...row, wanted: i >= all.length - 3, top }))
    )
    for (const all of logits) {
      const row = top === 0 ? all : largest(all, top)
      hash.update(new Uint8Array(row.buffer, row.byteOffset, row.byteLength))
    }
  }
  await run([
    [0, 0],
    [0, 1],
    [0, 2],
    [0, 3],
    [0, 4]
  ])
  await run([[0, 5]])
  await run([
    [1, 0],
    [0, 6],
    [2, 0]
  ])
  return hash.digest('hex')
}

/** Ids and values of the largest logits, the lower ids of equal ones. */
const largest = (logits: Float32Array, top: number): Float64Array =>
  Float64Array.from([...bestLogits(logits, top).sort()].flatMap(id => [id, logits[id]!]))

test(
  'the shape of 2B-4T gives one set of logits, whatever computes it',
  { skip: instructionSets().length < 2 ? 'the native kernels are not built' : false },
  async () => {
    writeRandomPacked(path, modelOfShape('bitnet-2b4t') as BitnetConfig, { embedding: 'Q6_K' })
    const found = new Map<string, string>()
    for (const instructionSet of instructionSets().filter(set => set !== 'reference')) {
      for (const threads of instructionSet === 'baseline' ? [2] : [1, 2]) {
        const executor = openExecutor({ threads, instructionSet })
        for (const packing of new Set([chooseTernaryPacking(executor), 'two-bit'])) {
          found.set(`${instructionSet}, ${threads} threads, ${packing}`, await bits(executor, { packing }))
        }
      }
    }
    assert.equal(new Set(found.values()).size, 1, JSON.stringify([...found], null, 1))
    assert.ok(found.size >= 3)
  }
)

test(
  'an f16 head of that size has the same 40 largest logits, screened and whole',
  { skip: instructionSets().length < 2 ? 'the native kernels are not built' : false },
  async () => {
    writeRandomPacked(path, modelOfShape('bitnet-2b4t') as BitnetConfig, { embedding: 'F16' })
    const found = new Map<string, string>()
    for (const instructionSet of instructionSets().filter(set => set !== 'reference')) {
      for (const threads of instructionSet === 'baseline' ? [2] : [1, 2]) {
        found.set(
          `${instructionSet}, ${threads} threads`,
          await bits(openExecutor({ threads, instructionSet }), { screen: true, top: 40 })
        )
      }
    }
    found.set('whole', await bits(openExecutor(), { top: 40 }))
    assert.equal(new Set(found.values()).size, 1, JSON.stringify([...found], null, 1))
  }
)

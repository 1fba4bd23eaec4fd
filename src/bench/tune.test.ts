import assert from 'node:assert/strict'
import { test } from 'node:test'
import { instructionSets, openExecutor } from '../exec/index.ts'
import { parseModelConfig } from '../model/config.ts'
import { randomWeights } from '../model/random-weights.ts'
import { servingForm, typesOf } from '../model/weights.ts'
import { chooseTernaryPacking } from '../weights/ternary-packing.ts'
import { bestOf, sameKernels, threadCandidates, tune } from './tune.ts'
import type { Trial } from './tune.ts'

const trial = (threads: number, seconds: number): Trial => ({
  threads,
  seconds,
  instructionSet: 'baseline',
  packing: 'two-bit',
  decode: 1,
  prefill: 1
})

test('threads that are tried are powers of two, cores, hardware threads and what is usual, within the quota', () => {
  assert.deepEqual(threadCandidates({ logical: 2, physical: 2, quota: undefined, threads: 2 }), [1, 2])
  assert.deepEqual(threadCandidates({ logical: 24, physical: 12, quota: undefined, threads: 12 }), [1, 2, 4, 8, 12, 24])
  assert.deepEqual(threadCandidates({ logical: 24, physical: 12, quota: 2.5, threads: 2 }), [1, 2])
  assert.deepEqual(threadCandidates({ logical: 1, physical: 1, quota: 0.5, threads: 1 }), [1])
})

test('the shortest time wins; within noise what is usual does, or the fewest threads', () => {
  const best = (usual: number, ...times: number[]): number =>
    bestOf(
      times.map((s, i) => trial(i + 1, s)),
      t => t.threads === usual
    ).threads
  assert.equal(best(1, 10, 5, 4), 3)
  assert.equal(best(2, 10, 4.1, 4), 2)
  assert.equal(best(4, 10, 4.1, 4, 6), 2)
  assert.equal(best(1, 10), 1)
})

test('tuning tries every instruction set, packing and number of threads, and chooses among them', async () => {
  const config = parseModelConfig({
    kind: 'bitnet',
    layers: 1,
    hidden: 64,
    heads: 2,
    kvHeads: 1,
    ffn: 96,
    context: 16,
    vocab: 300
  })
  const packings: string[] = []
  const told: number[][] = []
  const sets = instructionSets().slice(0, -1)
  const { kernels, dropped, threads, best, usual } = await tune({
    machine: { logical: 2, physical: 2, quota: undefined, threads: 2 },
    instructionSets: sets,
    seconds: 0.02,
    executor: o => openExecutor({ threads: 2, ...o }),
    onProgress: (...at) => void told.push(at),
    model: async (executor, codes = chooseTernaryPacking(executor)) => {
      packings.push(codes)
      return {
        config,
        weights: await randomWeights(
          executor,
          config,
          servingForm(config, { type: typesOf({ embedding: 'F16' }), codes })
        )
      }
    }
  })
  assert.deepEqual(
    [packings.toSorted(), threads.map(t => t.threads)],
    [
      ['base3', 'two-bit'],
      [1, 2]
    ]
  )
  const all = (sets.length === 0 ? ['reference'] : sets).flatMap(set => [`${set} base3`, `${set} two-bit`]).toSorted()
  const names = [...kernels, ...dropped].map(k => `${k.instructionSet} ${k.packing}`)
  assert.deepEqual(
    names.length === all.length - 1
      ? [...names, `${best.instructionSet} ${best.packing}`].toSorted()
      : names.toSorted(),
    all
  )
  assert.ok(dropped.every(d => d.times > 1.5) && kernels.every(k => k.threads === 2 && k.seconds > 0))
  assert.ok(threads.includes(best) && threads.every(t => sameKernels(t, best) && t.seconds > 0) && usual.threads === 2)
  assert.deepEqual(
    told.map(([done]) => done),
    told.map((_, i) => i + 1)
  )
  const most = told.map(([, of]) => of!)
  assert.deepEqual([most, most.at(-1)], [most.toSorted((a, b) => b - a), told.length])
})

test('what is many times slower is dropped after a first look', { skip: instructionSets().length < 2 }, async () => {
  const config = parseModelConfig({
    kind: 'bitnet',
    layers: 2,
    hidden: 256,
    heads: 2,
    kvHeads: 1,
    ffn: 512,
    context: 16,
    vocab: 300
  })
  const { kernels, dropped, best } = await tune({
    machine: { logical: 1, physical: 1, quota: undefined, threads: 1 },
    instructionSets: ['reference'],
    seconds: 0.02,
    executor: o => openExecutor({ threads: 1, ...o }),
    model: async (executor, codes = chooseTernaryPacking(executor)) => ({
      config,
      weights: await randomWeights(
        executor,
        config,
        servingForm(config, { type: typesOf({ embedding: 'F16' }), codes })
      )
    })
  })
  assert.ok(
    dropped.filter(d => d.instructionSet === 'reference').length === 2 &&
      kernels.every(k => k.instructionSet === best.instructionSet)
  )
})

test('a model without ternary weights has one packing, and one instruction set leaves nothing to choose', async () => {
  const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 32, heads: 2, context: 16, vocab: 300 })
  const { kernels, dropped, best, usual } = await tune({
    machine: { logical: 1, physical: 1, quota: undefined, threads: 1 },
    instructionSets: [],
    seconds: 0.02,
    executor: o => openExecutor({ threads: 1, ...o }),
    model: async (executor, codes = chooseTernaryPacking(executor)) => ({
      config,
      weights: await randomWeights(
        executor,
        config,
        servingForm(config, { type: typesOf({ embedding: 'F16' }), codes })
      )
    })
  })
  assert.deepEqual([kernels, dropped, best.threads, best.packing], [[], [], 1, null])
  assert.equal(best.instructionSet, usual.instructionSet)
})

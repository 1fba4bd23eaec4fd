import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openExecutor } from '../exec/index.ts'
import { parseModelConfig } from '../model/config.ts'
import { randomWeights } from '../model/random-weights.ts'
import { bestOf, threadCandidates, tune } from './tune.ts'
import type { Trial } from './tune.ts'

const trial = (threads: number, seconds: number): Trial => ({ threads, seconds, packing: 'two-bit', decode: 1, prefill: 1 })

test('threads that are tried are powers of two, cores, hardware threads and what is usual, within the quota', () => {
  assert.deepEqual(threadCandidates({ logical: 2, physical: 2, quota: undefined, threads: 2 }), [1, 2])
  assert.deepEqual(threadCandidates({ logical: 24, physical: 12, quota: undefined, threads: 12 }), [1, 2, 4, 8, 12, 24])
  assert.deepEqual(threadCandidates({ logical: 24, physical: 12, quota: 2.5, threads: 2 }), [1, 2])
  assert.deepEqual(threadCandidates({ logical: 1, physical: 1, quota: 0.5, threads: 1 }), [1])
})

test('the shortest time wins; within noise what is usual does, or the fewest threads', () => {
  const best = (usual: number, ...times: number[]): number => bestOf(times.map((s, i) => trial(i + 1, s)), t => t.threads === usual).threads
  assert.equal(best(1, 10, 5, 4), 3)
  assert.equal(best(2, 10, 4.1, 4), 2)
  assert.equal(best(4, 10, 4.1, 4, 6), 2)
  assert.equal(best(1, 10), 1)
})

test('tuning tries both packings and every number of threads, and chooses among them', async () => {
  const config = parseModelConfig({ kind: 'bitnet', layers: 1, hidden: 64, heads: 2, kvHeads: 1, ffn: 96, context: 16, vocab: 300 })
  const packings: string[] = [], told: number[][] = []
  const { packings: p, threads, best, usual } = await tune({
    machine: { logical: 2, physical: 2, quota: undefined, threads: 2 }, executor: (n = 2) => openExecutor({ threads: n }), onProgress: (...at) => void told.push(at),
    model: async executor => {
      packings.push(executor.ternary)
      return { config, weights: await randomWeights(executor, config, { embedding: 'f16', ternary: executor.ternary }) }
    },
  })
  assert.deepEqual([packings.toSorted(), p.map(t => t.packing).toSorted(), threads.map(t => t.threads)], [['base3', 'two-bit'], ['base3', 'two-bit'], [1, 2]])
  assert.ok(threads.includes(best) && threads.every(t => t.packing === best.packing && t.seconds > 0) && usual.threads === 2)
  assert.deepEqual(told, Array.from({ length: 12 }, (_, i) => [i + 1, 12]))
})

test('a model without ternary weights has no packings', async () => {
  const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 32, heads: 2, context: 16, vocab: 300 })
  const { packings, best, usual } = await tune({
    machine: { logical: 1, physical: 1, quota: undefined, threads: 1 }, executor: (n = 1) => openExecutor({ threads: n }),
    model: async ({ ternary }) => ({ config, weights: await randomWeights(openExecutor({ threads: 1 }), config, { embedding: 'f16', ternary }) }),
  })
  assert.deepEqual([packings, best.threads, best.packing], [[], 1, usual.packing])
})

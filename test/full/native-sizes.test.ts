/**
 * Random sizes of the ops whose kernels work in blocks, beyond those of ../cases.ts: K over 256, rows over 480,
 * contexts over 96, more heads to a key head than a tile has rows, odd head widths, tables of thousands. Every
 * instruction set and thread count gives the bits of the reference.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addon, nativeExecutor } from '../../src/exec/native.ts'
import { referenceExecutor } from '../../src/exec/reference.ts'
import { anyPages, below, codes8, constant, difference, lengths, makeCase, ternary } from '../cases.ts'
import type { Spec } from '../cases.ts'
import { numbers } from '../numbers.ts'

const CASES = 240
const EDGES = [
  1, 2, 3, 5, 7, 11, 12, 13, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97, 128, 129, 192, 193, 240,
  241, 256, 257, 480, 481, 513, 1000, 1025
]

const next = numbers(20260103)
const pick = <T>(...of: T[]): T => of[next(of.length)]!
const size = (): number => (next(2) ? pick(...EDGES) : 1 + next(300))

/** Three sizes, the largest made smaller until their product is one that the reference computes in a moment. */
function three(): [number, number, number] {
  const s: [number, number, number] = [size(), size(), next(3) ? size() : 257 + next(1400)]
  while (s[0] * s[1] * s[2] > 1e6) {
    const largest = s.indexOf(Math.max(...s))
    s[largest] = Math.ceil(s[largest]! / 2.3)
  }
  return s
}

function heads(): { H: number; G: number; D: number } {
  const G = 1 + next(3)
  return {
    H: G * pick(1, 1, 2, 3, 5, 12, 13, 17),
    G,
    D: pick(1, 2, 3, 5, 7, 8, 15, 16, 17, 20, 31, 32, 33, 48, 64, 65)
  }
}

const makers: (() => Spec)[] = [
  () => {
    const [M, Nc, K] = three()
    return {
      op: 'matmul',
      a: { M, Nc, K, transposeA: next(2), layoutB: next(3), hasBias: next(2) },
      values: pick('plain', 'special', 'wild')
    }
  },
  () => {
    const [N, O, K] = three()
    return { op: 'ternaryMatmul', a: { N, O, K }, fill: { q: codes8, t: ternary } }
  },
  () => {
    const shape = heads()
    const T = pick(1, 3, 16, 17, 31, 64, 97, 200, 300, 513)
    const R = Math.ceil(T / 16) * 16 + 16 * next(4)
    const N = Math.max(1, Math.min(1 + next(110), Math.floor(2e6 / (T * shape.H * shape.D))))
    const S = 1 + next(4)
    const sequence = next(2) ? below('S') : constant(...Array<number>(N).fill(next(S)))
    return {
      op: 'attention',
      a: { N, ...shape, T, R, S, scale: 0.3 },
      fill: { pages: anyPages, sequence, length: lengths },
      compare: ['out.o']
    }
  },
  () => {
    const shape = heads()
    const most = Math.floor(Math.sqrt(1.2e6 / (shape.H * shape.D)))
    const T = Math.max(1, Math.min(most, pick(2, 15, 17, 50, 95, 96, 97, 150, 191, 193, 300)))
    return {
      op: 'attentionGrad',
      a: { N: T * (T < 60 ? 1 + next(3) : 1), ...shape, T, scale: 0.3 },
      values: pick('plain', 'special')
    }
  },
  () => ({
    op: pick('crossEntropy', 'crossEntropyGrad'),
    a: { N: 1 + next(40), V: 513 + next(4500) },
    values: pick('plain', 'special', 'wild'),
    fill: { targets: below('V', -1) }
  }),
  () => ({
    op: pick('embedding', 'embeddingGrad'),
    a: { N: size(), C: 1 + next(200), V: size() },
    fill: { ids: below('V') }
  }),
  () => ({ op: pick('quantizeRows', 'dequantizeRows'), a: { N: 1 + next(60), K: size() }, fill: { q: codes8 } })
]

for (const set of addon()!.instructionSets) {
  test(`${set}: ${CASES} random sizes give the bits of the reference on 1, 2 and 5 threads`, async () => {
    const reference = referenceExecutor()
    const executors = [1, 2, 5].map(threads => nativeExecutor({ threads, instructionSet: set })!)
    const failures: string[] = []
    for (let i = 0; i < CASES; i++) {
      const c = makeCase(makers[i % makers.length]!(), i, null, null)
      const want = c.buffers()
      const slow = reference.load(c.plan)
      await slow.run(want, c.bindings)
      for (const executor of executors) {
        const got = c.buffers(n => executor.allocate(n))
        const loaded = executor.load(c.plan)
        await loaded.run(got, c.bindings)
        const d = difference(c, got, want)
        if (d !== null) failures.push(`${c.name} on ${executor.threads} threads: ${d}`)
        loaded.dispose()
      }
    }
    assert.deepEqual(failures, [])
  })
}

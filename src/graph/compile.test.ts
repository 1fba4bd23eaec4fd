import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runGraph } from '../../test/run-graph.ts'
import { Philox } from '../lib/philox.ts'
import { planArena } from './arena.ts'
import { compile, type Compiled } from './compile.ts'
import { gradient } from './gradient.ts'
import { Graph, type Tensor } from './graph.ts'

const limits = { rows: 8, outputs: 3 }

test('blocks that live at the same time never share bytes', () => {
  const block = fc.record({
    bytes: fc.integer({ min: 0, max: 5000 }),
    first: fc.integer({ min: 0, max: 40 }),
    length: fc.integer({ min: 0, max: 20 })
  })
  fc.assert(
    fc.property(fc.array(block, { maxLength: 40 }), list => {
      const blocks = list.map(b => ({ bytes: b.bytes, first: b.first, last: b.first + b.length }))
      const { offsets, bytes } = planArena(blocks)
      const apart = planArena(blocks, false)
      assert.ok(bytes <= apart.bytes)
      for (const [i, a] of blocks.entries()) {
        assert.ok(offsets[i]! % 64 === 0 && offsets[i]! + a.bytes <= bytes)
        for (let j = 0; j < i; j++) {
          const b = blocks[j]
          if (a.bytes === 0 || b!.bytes === 0) continue
          const meet = a.first <= b!.last && b!.first <= a.last
          assert.ok(
            !meet || offsets[i]! + a.bytes <= offsets[j]! || offsets[j]! + b!.bytes <= offsets[i]!,
            `blocks ${i} and ${j}`
          )
          assert.ok(
            apart.offsets[i]! + a.bytes <= apart.offsets[j]! || apart.offsets[j]! + b!.bytes <= apart.offsets[i]!
          )
        }
      }
    })
  )
})

/** A graph grown by random choices: every op takes any earlier tensors [rows, 6]. */
function randomGraph(choices: readonly [number, number, number][]): { g: Graph; loss: Tensor; last: Tensor } {
  const g = new Graph()
  const gain = g.parameter('gain', [6])
  const w = [0, 1].map(i => g.parameter(`w${i}`, [6, 6]))
  const ids = g.input('ids', 'i32', ['rows'])
  const rng = g.input('rng', 'i32', [3])
  const pool = [g.embedding(g.parameter('table', [10, 6]), ids), g.input('x', 'f32', ['rows', 6])]
  for (const [i, [kind, a, b]] of choices.entries()) {
    const x = pool[a % pool.length]
    const y = pool[b % pool.length]
    const halves = (): Tensor => {
      const [l, r] = g.split(x!, [2, 4])
      return g.concat([r!, l!])
    }
    const make = [
      () => g.add(x!, y!),
      () => g.gelu(x!),
      () => g.reluSquareGate(x!, y!),
      () => g.rmsNorm(x!, gain),
      () => g.layerNorm(x!, gain),
      () => g.linear(x!, w[b % 2]!),
      () => g.bitLinear(x!, w[b % 2]!),
      halves,
      () => g.dropout(x!, rng, i, 0.25)
    ]
    pool.push(make[kind % make.length]!())
  }
  const last = pool.at(-1)!
  return {
    g,
    last,
    loss: g.mean(g.crossEntropy(g.linear(g.rmsNorm(last, gain), w[0]!), g.input('targets', 'i32', ['rows'])))
  }
}

test('a plan that reuses memory gives the bits of one that does not, forward and backward, run after run', async () => {
  const choice = fc.tuple(fc.nat(8), fc.nat(30), fc.nat(30))
  const values = {
    ids: [1, 9, 0, 4, 4],
    rng: [7, 8, 9],
    targets: [0, 5, 2, 1, 3],
    lossScale: [1],
    x: numbers(30, 1),
    gain: numbers(6, 2),
    w0: numbers(36, 3),
    w1: numbers(36, 4),
    table: numbers(60, 5)
  }
  await fc.assert(
    fc.asyncProperty(fc.array(choice, { minLength: 1, maxLength: 25 }), async choices => {
      const results: number[][][] = []
      const sizes: number[] = []
      for (const reuse of [true, false]) {
        const { g, loss, last } = randomGraph(choices)
        const { gradients } = gradient(g, loss)
        const c = compile(g, {
          limits,
          outputs: { loss, ...(last.kind === 'computed' ? { last } : {}) },
          gradients,
          reuse
        })
        const names = [...c.directory.keys()].filter(n => n.startsWith('grad.') || n === 'loss' || n === 'last')
        const read = await runGraph(c, values, { bindings: { rows: 5 }, times: 2 })
        results.push(names.map(n => read(n)))
        sizes.push(c.plan.bufferBytes[0]!)
      }
      assert.deepEqual(results[0], results[1])
      assert.ok(sizes[0]! <= sizes[1]!)
    }),
    { numRuns: 60 }
  )
})

function numbers(n: number, stream: number): Float32Array {
  const out = new Float32Array(n)
  new Philox(3, 60, stream).fillNormal(out)
  return out
}

const opsOf = (c: Compiled): string[] => c.plan.steps.map(s => s.op)

test('what no output needs is dropped: ops, inputs, and the probabilities of attention', () => {
  const g = new Graph()
  const x = g.input('x', 'f32', ['rows', 8])
  const extra = g.input('extra', 'f32', ['rows', 8])
  const index = (name: string): Tensor => g.input(name, 'i32', ['rows'])
  g.gelu(extra)
  const o = g.attention(x, x, x, {
    heads: 2,
    context: 8,
    cacheRows: 16,
    cacheRow: index('cacheRow'),
    pages: g.input('pages', 'i32', [1, 1]),
    sequence: index('sequence'),
    length: index('length')
  })
  const y = g.linear(o, g.parameter('w', [3, 8]))
  const c = compile(g, { limits, outputs: { y } })
  assert.deepEqual(opsOf(c), ['writeKeys', 'writeValues', 'attention', 'matmul'])
  assert.equal(c.directory.has('extra'), false)
  assert.deepEqual(c.plan.steps[2]!.outputs.slice(1), [-1, -1])
  assert.deepEqual(c.plan.buffers.slice(0, 2), ['arena', 'weights'])
  const loss = g.mean(g.crossEntropy(y, index('targets')))
  const trained = compile(g, { limits, outputs: { loss }, gradients: gradient(g, loss).gradients })
  assert.deepEqual(
    opsOf(trained).filter(n => n.endsWith('Grad')),
    ['meanGrad', 'crossEntropyGrad'],
    'nothing before the only parameter is differentiated'
  )
})

test('matrices come first in the weights, each tensor at a multiple of 64 bytes, gradients at the same offsets', () => {
  const g = new Graph()
  const gain = g.parameter('gain', [5])
  const table = g.parameter('table', [7, 5])
  const w = g.parameter('w', [3, 5])
  const x = g.rmsNorm(g.embedding(table, g.input('ids', 'i32', ['rows'])), gain)
  const loss = g.mean(g.crossEntropy(g.linear(x, w), g.input('targets', 'i32', ['rows'])))
  const c = compile(g, { limits, outputs: { loss }, gradients: gradient(g, loss).gradients })
  assert.deepEqual(
    c.layout.entries.map(e => [e.name, e.offset, e.bytes, e.matrix]),
    [
      ['table', 0, 140, true],
      ['w', 192, 60, true],
      ['gain', 256, 20, false]
    ]
  )
  assert.deepEqual([c.layout.matrixBytes, c.layout.bytes], [256, 320])
  for (const e of c.layout.entries) {
    assert.deepEqual(c.directory.get(e.name), { buffer: 'weights', offset: e.offset, dtype: 'f32', shape: e.shape })
    assert.equal(c.directory.get(`grad.${e.name}`)?.offset, e.offset)
  }
  for (const name of ['weights', 'gradients']) assert.equal(c.plan.bufferBytes[c.plan.buffers.indexOf(name)], 320)
})

test('one tensor may be several outputs, an input an output, and parameters share a gradient', async () => {
  const g = new Graph()
  const a = g.parameter('a', [4, 6])
  const b = g.parameter('b', [4, 6])
  const sum = g.add(a, b)
  const loss = g.mean(g.crossEntropy(sum, g.input('targets', 'i32', [4])))
  const { gradients } = gradient(g, loss)
  const c = compile(g, { limits, outputs: { loss, sum, again: sum, a2: a, da: gradients.get(a)! }, gradients })
  const read = await runGraph(c, { a: numbers(24, 1), b: numbers(24, 2), targets: [0, 1, 2, 3], lossScale: [1] })
  assert.deepEqual(read('again'), read('sum'))
  assert.deepEqual(read('a2'), read('a'))
  assert.deepEqual(read('grad.a'), read('grad.b'))
  assert.deepEqual(read('da'), read('grad.b'))
  assert.ok(read('da').some(x => x !== 0))
})

test('attention over a cache filled in pieces, in any page order, has the bits of one run', async () => {
  const T = 37
  const H = 4
  const G = 2
  const D = 6
  const build = (rows: number, lasting: boolean): Compiled => {
    const g = new Graph()
    const index = (name: string): Tensor => g.input(name, 'i32', ['rows'])
    const x = (name: string, heads: number): Tensor => g.input(name, 'f32', ['rows', heads * D])
    const cache = lasting ? { keys: g.state('keys', [3, G, D, 16]), values: g.state('values', [3, G, 16, D]) } : {}
    const o = g.attention(x('q', H), x('k', G), x('v', G), {
      heads: H,
      kvHeads: G,
      context: T,
      cacheRows: 48,
      cacheRow: index('cacheRow'),
      pages: g.input('pages', 'i32', [1, 3]),
      sequence: index('sequence'),
      length: index('length'),
      ...cache
    })
    return compile(g, { limits: { rows, outputs: 1 }, outputs: { o } })
  }
  const q = numbers(T * H * D, 1)
  const k = numbers(T * G * D, 2)
  const v = numbers(T * G * D, 3)
  const piece = (from: number, to: number, pages: number[]): Record<string, ArrayLike<number>> => ({
    q: q.slice(from * H * D, to * H * D),
    k: k.slice(from * G * D, to * G * D),
    v: v.slice(from * G * D, to * G * D),
    cacheRow: Array.from({ length: to - from }, (_, i) => pages[(from + i) >> 4]! * 16 + ((from + i) % 16)),
    pages,
    sequence: Array.from({ length: to - from }, () => 0),
    length: Array.from({ length: to - from }, (_, i) => from + i + 1)
  })
  const whole = (await runGraph(build(T, false), piece(0, T, [0, 1, 2])))('o')
  const c = build(20, true)
  let state: Record<string, ArrayLike<number>> = {}
  const pieces: number[] = []
  for (const [from, to] of [
    [0, 1],
    [1, 18],
    [18, 19],
    [19, 37]
  ]) {
    const read = await runGraph(c, { ...state, ...piece(from!, to!, [1, 2, 0]) }, { bindings: { rows: to! - from! } })
    pieces.push(...read('o').slice(0, (to! - from!) * H * D))
    state = { keys: read('keys'), values: read('values') }
  }
  assert.deepEqual(pieces, whole)
})

test('an elementwise op writes over an input that ends with it, and over nothing else', () => {
  const g = new Graph()
  const x = g.input('x', 'f32', [4, 16])
  const a = g.gelu(x)
  const b = g.gelu(a)
  const c = g.add(b, g.gelu(b))
  const { plan } = compile(g, { limits, outputs: { c } })
  const at = (t: number): [number, number] => [plan.tensors[t]!.buffer, plan.tensors[t]!.offset]
  assert.deepEqual(
    at(plan.steps[1]!.outputs[0]!),
    at(plan.steps[1]!.inputs[0]!),
    'the second gelu takes over the first one'
  )
  assert.notDeepEqual(at(plan.steps[2]!.outputs[0]!), at(plan.steps[2]!.inputs[0]!), 'b is still needed')
  assert.equal(plan.bufferBytes[0], 2 * 256)
})

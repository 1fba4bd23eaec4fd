import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runGraph, type Values } from '../../test/run-graph.ts'
import { VeritError } from '../lib/errors.ts'
import { Philox } from '../lib/philox.ts'
import { compile } from './compile.ts'
import { gradient } from './gradient.ts'
import { Graph, type Tensor } from './graph.ts'

const ROWS = 6

function normals(n: number, stream: number): Float32Array {
  const out = new Float32Array(n)
  new Philox(5, 50, stream).fillNormal(out)
  return out
}

/** Mean cross entropy of logits [N, V], in f64. */
function loss64(logits: number[], targets: number[]): number {
  const V = logits.length / targets.length
  let total = 0
  for (const [n, t] of targets.entries()) {
    const row = logits.slice(n * V, (n + 1) * V)
    const mx = Math.max(...row)
    total += Math.log(row.reduce((s, x) => s + Math.exp(x - mx), 0)) + mx - row[t]!
  }
  return total / targets.length
}

/**
 * Compares the derivative of a graph by every parameter, along a random direction, with five-point central differences
 * of the loss, which is worked out in f64 from the f32 logits.
 */
async function check(build: (g: Graph) => Tensor, values: Values = {}): Promise<void> {
  const g = new Graph()
  const logits = build(g)
  const [N, V] = logits.shape as [number, number]
  const targets = Array.from({ length: N }, (_, n) => (n * 5 + 1) % V)
  const loss = g.mean(g.crossEntropy(logits, g.input('targets', 'i32', [N])))
  const forward = compile(g, { limits: { rows: N, outputs: N }, outputs: { logits } })
  const { gradients } = gradient(g, loss)
  const both = compile(g, { limits: { rows: N, outputs: N }, outputs: { loss }, gradients })
  const start = Object.fromEntries(both.layout.entries.map((e, i) => [e.name, normals(e.bytes / 4, i)]))
  const inputs = { ...values, ...start, targets, lossScale: [1] }
  const result = await runGraph(both, inputs)
  assert.ok(both.layout.entries.length > 0)
  for (const [i, { name }] of both.layout.entries.entries()) {
    const d = result(`grad.${name}`)
    const v = normals(d.length, 100 + i)
    const at = async (h: number): Promise<number> => {
      const moved = start[name]!.map((x, k) => x + h * v[k]!)
      return loss64((await runGraph(forward, { ...inputs, [name]: moved }))('logits'), targets)
    }
    const h = 0.01
    const numeric = (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h)
    const analytic = d.reduce((s, x, k) => s + x * v[k]!, 0)
    const size = Math.hypot(...d)
    assert.ok(
      Math.abs(numeric - analytic) <= 2e-3 * size + 2e-5,
      `${name}: derivative ${analytic}, differences ${numeric} (norm ${size})`
    )
  }
}

const p = (g: Graph, name: string, ...shape: number[]): Tensor => g.parameter(name, shape)

test('products: every layout and transposition, with and without bias', async () => {
  for (const transposeA of [0, 1] as const) {
    for (const layoutB of [0, 1] as const) {
      await check(g => {
        const a = transposeA ? p(g, 'a', 5, ROWS) : p(g, 'a', ROWS, 5)
        const b = layoutB ? p(g, 'b', 7, 5) : p(g, 'b', 5, 7)
        return g.matmul(a, b, { transposeA, layoutB, bias: p(g, 'bias', 7) })
      })
    }
  }
})

test('norms, with and without bias', async () => {
  await check(g => g.layerNorm(p(g, 'x', ROWS, 19), p(g, 'gain', 19), p(g, 'bias', 19)))
  await check(g => g.layerNorm(p(g, 'x', ROWS, 19), p(g, 'gain', 19)))
  await check(g => g.rmsNorm(p(g, 'x', ROWS, 19), p(g, 'gain', 19)))
  await check(g => g.rmsNorm(p(g, 'x', ROWS, 20), p(g, 'gain', 5), 1e-5, 4))
})

test('elementwise ops', async () => {
  await check(g => g.gelu(p(g, 'x', ROWS, 9)))
  await check(g => g.reluSquareGate(p(g, 'gate', ROWS, 9), p(g, 'up', ROWS, 9)))
  await check(g => g.siluGate(p(g, 'gate', ROWS, 9), p(g, 'up', ROWS, 9)))
  await check(g => g.add(p(g, 'a', ROWS, 9), g.scale(p(g, 'b', ROWS, 9), g.input('s', 'f32', [1]))), { s: [0.75] })
  await check(g => g.geluTanh(p(g, 'x', ROWS, 9)))
  await check(g => g.geluTanhGate(p(g, 'gate', ROWS, 9), p(g, 'up', ROWS, 9)))
  await check(g => g.multiply(p(g, 'a', ROWS, 9), p(g, 'b', ROWS, 9)))
  await check(g => g.softcap(p(g, 'x', ROWS, 9), 1.5))
  await check(g => g.dropout(p(g, 'x', ROWS, 9), g.input('rng', 'i32', [3]), 2, 0.3), { rng: [1, 2, 3] })
})

test('columns, embeddings and picked rows', async () => {
  await check(g => {
    const [a, b, c] = g.split(p(g, 'x', ROWS, 12), [5, 4, 3])
    return g.concat([c!, g.gelu(a!), b!])
  })
  await check(g => g.embedding(p(g, 'table', 4, 9), g.input('ids', 'i32', [ROWS])), { ids: [3, 0, 3, 1, 1, 1] })
  await check(g => g.gatherRows(g.gelu(p(g, 'x', ROWS, 9)), g.input('rows', 'i32', [3])), { rows: [4, 0, 4] })
})

for (const [name, options] of Object.entries({
  'no options': {},
  'a window': { window: 2 },
  'a soft cap': { softcap: 1.2 },
  'sinks and a window': { window: 2, sinks: true },
  'all of them': { window: 2, softcap: 0.8, sinks: true }
}))
  test(`attention with grouped heads and rotary positions, two sequences at once: ${name}`, async () => {
    const T = 3
    const D = 4
    const { sinks = false, ...numbers } = options as { window?: number; softcap?: number; sinks?: boolean }
    const angles = Array.from({ length: (T * D) / 2 }, (_, i) => i * 0.7)
    await check(
      g => {
        const index = (name: string): Tensor => g.input(name, 'i32', [2 * T])
        const [cos, sin] = ['cos', 'sin'].map(name => g.input(name, 'f32', [T, D / 2]))
        const q = g.rope(p(g, 'q', 2 * T, 4 * D), index('positions'), cos!, sin!, 4)
        return g.attention(q, p(g, 'k', 2 * T, 2 * D), p(g, 'v', 2 * T, 2 * D), {
          heads: 4,
          kvHeads: 2,
          context: T,
          cacheRows: 32,
          cacheRow: index('cacheRow'),
          pages: g.input('pages', 'i32', [2, 1]),
          sequence: index('sequence'),
          length: index('length'),
          ...numbers,
          ...(sinks && { sinks: p(g, 'sinks', 4) })
        })
      },
      {
        positions: [0, 1, 2, 0, 1, 2],
        cacheRow: [0, 1, 2, 16, 17, 18],
        pages: [0, 1],
        sequence: [0, 0, 0, 1, 1, 1],
        length: [1, 2, 3, 1, 2, 3],
        cos: angles.map(Math.cos),
        sin: angles.map(Math.sin)
      }
    )
  })

test('short convolutions of two sequences at once', async () => {
  for (const taps of [1, 3, 5]) {
    await check(
      g => {
        const index = (name: string): Tensor => g.input(name, 'i32', [8])
        return g.gelu(
          g.shortConv(g.gelu(p(g, 'x', 8, 5)), p(g, 'w', 5, taps), {
            context: 4,
            cacheRows: 32,
            cacheRow: index('cacheRow'),
            pages: g.input('pages', 'i32', [2, 1]),
            sequence: index('sequence'),
            length: index('length')
          })
        )
      },
      {
        cacheRow: [16, 17, 18, 19, 0, 1, 2, 3],
        pages: [1, 0],
        sequence: [0, 0, 0, 0, 1, 1, 1, 1],
        length: [1, 2, 3, 4, 1, 2, 3, 4]
      }
    )
  }
})

test('the choice of experts, for every gating', async () => {
  for (const gating of ['softmax', 'sigmoid', 'chosen'] as const) {
    for (const normalise of [false, true]) {
      await check(
        g => {
          // no step of the test changes the choice
          const logits = g.add(p(g, 'small', ROWS, 7), g.input('large', 'f32', [ROWS, 7]))
          const bias = normalise ? g.input('bias', 'f32', [7]) : undefined
          const { weights } = g.topExperts(logits, 3, { gating, normalise, scale: 2.5, bias })
          return g.linear(weights, p(g, 'w', 5, 3))
        },
        {
          large: Array.from({ length: ROWS * 7 }, (_, i) => (3 * ((i * 3) % 7)) / 7),
          bias: [0, 0.5, 1, 1.5, 2, 2.5, 3]
        }
      )
    }
  }
})

test('a feed-forward layer of experts', async () => {
  await check(
    g => {
      const x = g.gelu(p(g, 'x', ROWS, 4))
      const experts = g.input('experts', 'i32', [ROWS, 2])
      const count = 5
      const gate = g.expertLinear(x, p(g, 'gate', count * 3, 4), experts, { out: 3, count })
      const up = g.expertLinear(x, p(g, 'up', count * 3, 4), experts, { out: 3, count })
      const down = g.expertLinear(g.siluGate(gate, up), p(g, 'down', count * 6, 3), experts, { out: 6, count })
      return g.expertSum(down, p(g, 'shares', ROWS, 2))
    },
    { experts: [0, 1, 3, 0, 1, 3, 0, 4, 4, 1, 1, 0] }
  )
  await check(
    g => {
      const y = g.expertLinear(p(g, 'x', ROWS, 4), p(g, 'w', 9, 4), g.input('experts', 'i32', [ROWS, 1]), {
        out: 3,
        count: 3
      })
      return g.expertSum(y, p(g, 'shares', ROWS, 1))
    },
    { experts: [2, 0, 2, 2, 0, 0] }
  )
})

test('rotary positions of a part of each head', async () => {
  const angles = Array.from({ length: 9 }, (_, i) => i * 0.7)
  await check(
    g => {
      const [cos, sin] = ['cos', 'sin'].map(name => g.input(name, 'f32', [3, 3]))
      return g.rope(p(g, 'q', ROWS, 2 * 9), g.input('positions', 'i32', [ROWS]), cos!, sin!, 2)
    },
    { positions: [0, 1, 2, 0, 1, 2], cos: angles.map(Math.cos), sin: angles.map(Math.sin) }
  )
})

test('a tied parameter collects the derivatives of all its uses', async () => {
  await check(
    g => {
      const table = p(g, 'table', 8, 5)
      const x = g.rmsNorm(g.embedding(table, g.input('ids', 'i32', [ROWS])), p(g, 'gain', 5))
      return g.linear(g.add(x, g.gelu(x)), table)
    },
    { ids: [0, 7, 3, 3, 1, 2] }
  )
})

test('BitLinear passes derivatives straight through: those of the product of the rounded operands', async () => {
  const N = 5
  const K = 21
  const O = 9
  const g = new Graph()
  const x = p(g, 'x', N, K)
  const w = p(g, 'w', O, K)
  const w2 = p(g, 'w2', O, K)
  const targets = g.input('targets', 'i32', [N])
  const loss = g.mean(g.crossEntropy(g.add(g.bitLinear(x, w), g.bitLinear(x, w2)), targets))
  const [q, scale] = g.apply('quantizeRows', [x])
  const rounded = {
    x: g.apply('dequantizeRows', [q!, scale!], { K })[0]!,
    ...Object.fromEntries([w, w2].map(t => [t.name, g.apply('unternarize', g.apply('ternarize', [t]), { O, K })[0]!]))
  }
  const { gradients } = gradient(g, loss)
  assert.equal(g.nodes.filter(n => n.op.name === 'quantizeRows').length, 1, 'x is quantised once')
  const inputs = {
    x: normals(N * K, 1),
    w: normals(O * K, 2),
    w2: normals(O * K, 3),
    targets: [1, 2, 3, 4, 5],
    lossScale: [0.5]
  }
  const bit = await runGraph(
    compile(g, {
      limits: { rows: 1, outputs: 1 },
      outputs: Object.fromEntries(Object.entries(rounded).map(([k, t]) => [`hat.${k}`, t])),
      gradients
    }),
    inputs
  )

  const h = new Graph()
  const hx = p(h, 'x', N, K)
  const hw = p(h, 'w', O, K)
  const hw2 = p(h, 'w2', O, K)
  const plain = h.mean(h.crossEntropy(h.add(h.linear(hx, hw), h.linear(hx, hw2)), h.input('targets', 'i32', [N])))
  const c = compile(h, { limits: { rows: 1, outputs: 1 }, outputs: {}, gradients: gradient(h, plain).gradients })
  const dense = await runGraph(c, {
    x: bit('hat.x'),
    w: bit('hat.w'),
    w2: bit('hat.w2'),
    targets: [1, 2, 3, 4, 5],
    lossScale: [0.5]
  })
  for (const name of ['grad.x', 'grad.w', 'grad.w2']) {
    const a = bit(name)
    const b = dense(name)
    assert.ok(Math.hypot(...a.map((v, i) => v - b[i]!)) < 1e-5 * Math.hypot(...b) && Math.hypot(...b) > 0.01, name)
  }
})

test('a gradient that is not defined is refused by name; a parameter that the loss does not use has none', () => {
  const g = new Graph()
  const x = p(g, 'x', 4, 64)
  const panels = p(g, 'panels', 1, 64, 32)
  const unused = p(g, 'unused', 3)
  const loss = g.mean(g.crossEntropy(g.packedLinear(x, panels, 30), g.input('targets', 'i32', [4])))
  assert.throws(
    () => gradient(g, loss),
    (e: unknown) => VeritError.is(e, 'VERIT_SHAPE') && /matmul/.test(e.message)
  )
  const h = new Graph()
  const y = p(h, 'y', 4, 6)
  const other = p(h, 'other', 3)
  const { gradients } = gradient(h, h.mean(h.crossEntropy(y, h.input('targets', 'i32', [4]))))
  assert.deepEqual([gradients.has(y), gradients.has(other), unused.shape], [true, false, [3]])
})

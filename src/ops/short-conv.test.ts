import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBuffers, runGraph } from '../../test/run-graph.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { compile, type Compiled } from '../graph/compile.ts'
import { Graph, type Tensor } from '../graph/graph.ts'

const [C, TAPS, T] = [3, 4, 20]
const x = Float32Array.from({ length: T * C }, (_, i) => Math.fround(Math.cos(i * i)))
const w = Float32Array.from({ length: C * TAPS }, (_, i) => Math.fround(Math.sin(i + 1)))

function convolution(rows: number, keep: boolean): Compiled {
  const g = new Graph()
  const index = (name: string): Tensor => g.input(name, 'i32', [rows])
  const y = g.shortConv(g.input('x', 'f32', [rows, C]), g.input('w', 'f32', [C, TAPS]), {
    context: T,
    cacheRows: 48,
    cacheRow: index('cacheRow'),
    pages: g.input('pages', 'i32', [1, 2]),
    sequence: index('sequence'),
    length: index('length'),
    ...(keep && { state: g.state('state', [3, 1, 16, C]) })
  })
  return compile(g, { limits: { rows: 1, outputs: 1 }, outputs: { y } })
}

/** Pages 2 and 0, in that order. */
const cacheRow = (position: number): number => (position < 16 ? 32 + position : position - 16)
const positions = Array.from({ length: T }, (_, i) => i)

test('a short convolution sums its taps over the last rows, and nothing before the first', async () => {
  const run = await runGraph(convolution(T, false), {
    x,
    w,
    cacheRow: positions.map(cacheRow),
    pages: [2, 0],
    sequence: positions.map(() => 0),
    length: positions.map(i => i + 1)
  })
  for (const [i, y] of run('y').entries()) {
    const n = Math.floor(i / C)
    const c = i % C
    const want = [0, 1, 2, 3].reduce(
      (s, back) => s + (n >= back ? w[c * TAPS + TAPS - 1 - back]! * x[(n - back) * C + c]! : 0),
      0
    )
    assert.ok(Math.abs(y - want) < 1e-6, `${n} ${c}: ${y}, not ${want}`)
  }
})

test('token by token over a state, a short convolution gives the same bits as all rows at once', async () => {
  const all = await runGraph(convolution(T, false), {
    x,
    w,
    cacheRow: positions.map(cacheRow),
    pages: [2, 0],
    sequence: positions.map(() => 0),
    length: positions.map(i => i + 1)
  })
  const one = convolution(1, true)
  const { buffers, data } = openBuffers(one)
  const loaded = referenceExecutor().load(one.plan)
  data.get('w')!.set(w)
  data.get('pages')!.set([2, 0])
  data.get('state')!.fill(NaN) // what is not written is not read
  const got: number[] = []
  for (const i of positions) {
    data.get('x')!.set(x.subarray(i * C, (i + 1) * C))
    data.get('cacheRow')!.set([cacheRow(i)])
    data.get('length')!.set([i + 1])
    await loaded.run(buffers, {})
    got.push(...data.get('y')!)
  }
  assert.deepEqual(got, all('y'))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { Graph, type Tensor } from './graph.ts'

/** Asserts that building fails with VERIT_SHAPE for the op, in a message that shows all the texts. */
function refuses(build: (g: Graph) => unknown, op: string, ...texts: string[]): void {
  assert.throws(
    () => build(new Graph()),
    (e: unknown) => {
      assert.ok(VeritError.is(e, 'VERIT_SHAPE'), String(e))
      assert.equal(e.fields.op, op)
      for (const text of texts) assert.ok(e.message.includes(text), `${e.message} does not say ${text}`)
      return true
    }
  )
}

const t = (g: Graph, name: string, ...shape: (number | 'rows')[]): Tensor => g.input(name, 'f32', shape)
const i = (g: Graph, name: string, ...shape: (number | 'rows')[]): Tensor => g.input(name, 'i32', shape)

test('an op that does not fit its inputs is refused with its name and their shapes', () => {
  refuses(
    g => g.linear(t(g, 'x', 'rows', 8), t(g, 'w', 4, 9)),
    'matmul',
    'input b should be f32[4, 8]',
    'f32[4, 9]',
    'f32[rows, 8]'
  )
  refuses(g => g.linear(t(g, 'x', 'rows', 8), t(g, 'w', 4, 8), t(g, 'b', 5)), 'matmul', 'bias f32[5]')
  refuses(g => g.packedLinear(t(g, 'x', 'rows', 8), t(g, 'w', 2, 8, 32), 31), 'matmul', 'f32[1, 8, 32]')
  refuses(g => g.add(t(g, 'a', 'rows', 8), t(g, 'b', 4, 8)), 'add', 'f32[rows, 8]', 'f32[4, 8]')
  refuses(g => g.embedding(t(g, 'table', 5, 8), t(g, 'ids', 'rows')), 'embedding', 'i32[rows]', 'not f32[rows]')
  refuses(g => g.layerNorm(t(g, 'x', 'rows', 8), t(g, 'g', 7)), 'layerNorm', 'g f32[7]')
  refuses(g => g.rmsNorm(t(g, 'x', 8), t(g, 'g', 8)), 'rmsNorm', 'C cannot be told')
  refuses(g => g.split(t(g, 'x', 'rows', 8), [3, 4]), 'split', 'f32[rows, 7]')
  refuses(g => g.concat([t(g, 'x', 'rows', 8), t(g, 'y', 3, 8)]), 'concat', 'f32[rows, 8]')
  refuses(g => g.crossEntropy(t(g, 'x', 'rows', 8), i(g, 'targets', 4)), 'crossEntropy', 'i32[4]')
  refuses(
    g => g.rope(t(g, 'x', 'rows', 8), i(g, 'p', 'rows'), t(g, 'c', 9, 3), t(g, 's', 9, 3), 2),
    'rope',
    'R cannot be told'
  )
  const attend = (g: Graph, heads: number, kvHeads: number, cacheRows: number): Tensor => {
    const index = i(g, 'n', 'rows')
    return g.attention(t(g, 'q', 'rows', 24), t(g, 'k', 'rows', 12), t(g, 'v', 'rows', 12), {
      heads,
      kvHeads,
      context: 9,
      cacheRows,
      cacheRow: index,
      pages: i(g, 'pages', 2, 1),
      sequence: index,
      length: index
    })
  }
  refuses(g => attend(g, 4, 2, 40), 'writeKeys', 'R cannot be told')
  refuses(g => attend(g, 4, 1, 48), 'attention', 'f32[3, 1, 6, 16]')
  refuses(g => attend(g, 3, 2, 48), 'attention', 'H cannot be told')
})

test('bitLinear checks the width of latent and of packed weights', () => {
  refuses(
    g => g.bitLinear(t(g, 'x', 'rows', 8), t(g, 'w', 4, 40)),
    'ternaryMatmul',
    'u8[1, 1, 16, 4]',
    'u8[1, 3, 16, 4]'
  )
  refuses(
    g =>
      g.bitLinear(t(g, 'x', 'rows', 8), {
        t: g.parameter('t', [2, 1, 16, 4], 'u8'),
        m: g.parameter('m', [1]),
        out: 16
      }),
    'ternaryMatmul',
    'u8[2, 1, 16, 4]'
  )
  const g = new Graph()
  assert.deepEqual(
    g.bitLinear(t(g, 'x', 'rows', 8), { t: g.parameter('t', [2, 1, 16, 4], 'u8'), m: g.parameter('m', [1]), out: 20 })
      .shape,
    ['rows', 20]
  )
})

test('a state that was written in between is read again', () => {
  const g = new Graph()
  const keys = g.state('keys', [1, 1, 4, 16])
  const values = g.state('values', [1, 1, 16, 4])
  const pages = i(g, 'pages', 1, 1)
  const q = t(g, 'q', 'rows', 4)
  const at = i(g, 'at', 'rows')
  const later = i(g, 'later', 'rows')
  const attend = (cacheRow: Tensor): Tensor =>
    g.attention(q, q, q, {
      heads: 1,
      context: 9,
      cacheRows: 16,
      cacheRow,
      pages,
      sequence: at,
      length: at,
      keys,
      values
    })
  assert.notEqual(attend(at), attend(later))
  assert.equal(g.nodes.length, 6)
})

test('shapes follow from the inputs, equal ops are made once, names are unique', () => {
  const g = new Graph()
  const x = t(g, 'x', 'rows', 8)
  const w = g.parameter('w', [4, 8])
  assert.deepEqual(g.linear(x, w).shape, ['rows', 4])
  assert.equal(g.linear(x, w), g.linear(x, w))
  assert.notEqual(g.linear(x, w), g.linear(g.gelu(x), w))
  assert.deepEqual(
    g.split(x, [3, 5]).map(y => y.shape),
    [
      ['rows', 3],
      ['rows', 5]
    ]
  )
  assert.equal(g.dropout(x, i(g, 'rng', 3), 0, 0), x)
  assert.throws(() => g.parameter('w', [1]), /the name w is taken/)
  assert.throws(() => g.input('weights', 'f32', [1]), /taken/)
})

/** Copies of rows and columns: embedding tables, and columns taken apart and put together. */
import { VeritError } from '../lib/errors.ts'
import { f32, flat, i32, op, shapeText, type Value } from './op.ts'
import type { Dim } from './sizes.ts'

/** The problem of an index list; null if all are in [low, high). */
export function indexProblem(name: string, list: ArrayLike<number>, low: number, high: number): string | null {
  for (let n = 0; n < list.length; n++) {
    if (list[n]! < low || list[n]! >= high) return `${name}[${n}] is ${list[n]}, not in ${low} … ${high - 1}`
  }
  return null
}

/** Row ids[n] of the table; also picks rows of an activation. */
export const embedding = op({
  name: 'embedding',
  inputs: ['table', 'ids'],
  outputs: ['y'],
  attributes: { N: 'int', C: 'int', V: 'int' },
  infer: ([table, ids]) => ({ N: ids.shape[0], C: table.shape[1], V: table.shape[0] }),
  operands: a => ({ inputs: [f32(a.V, a.C), i32(a.N)], outputs: [f32(a.N, a.C)] }),
  gradient: b => [b.dy[0] && b.apply('embeddingGrad', [b.dy[0], b.inputs[1]], { V: b.a.V })[0], null],
  check: ([, ids], { V }) => indexProblem('ids', ids, 0, V),
  run: ([table, ids], [y], { N, C }) => {
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) y[n * C + c] = table[ids[n]! * C + c]!
    }
  }
})

export const embeddingGrad = op({
  name: 'embeddingGrad',
  inputs: ['dy', 'ids'],
  outputs: ['dtable'],
  attributes: { N: 'int', C: 'int', V: 'int' },
  infer: ([dy], { V }) => ({ N: dy.shape[0], C: dy.shape[1], V }),
  operands: a => ({ inputs: [f32(a.N, a.C), i32(a.N)], outputs: [f32(a.V, a.C)] }),
  check: ([, ids], { V }) => indexProblem('ids', ids, 0, V),
  run: ([dy, ids], [dtable], { N, C }) => {
    dtable.fill(0)
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) dtable[ids[n]! * C + c]! += dy[n * C + c]!
    }
  }
})

type Widths = Record<'N' | 'w0' | 'w1' | 'w2', Dim>
const total = (a: Widths): number =>
  [a.w0, a.w1, a.w2].reduce<number>((s, w) => s + (typeof w === 'number' ? w : NaN), 0)
const parts = (a: Widths): (Value | null)[] => [a.w0, a.w1, a.w2].map(w => (w === 0 ? null : f32(a.N, w)))

/** Columns of a row as up to three parts; a width of 0 is a part that is absent. */
export const split = op({
  name: 'split',
  inputs: ['x'],
  outputs: ['y0', 'y1', 'y2'],
  attributes: { N: 'int', w0: 'int', w1: 'int', w2: 'int' },
  infer: ([x], { w0 = 0, w1 = 0, w2 = 0 }) => ({ N: flat(x).N, w0, w1, w2 }),
  operands: a => ({ inputs: [f32(a.N, total(a))], outputs: parts(a) }),
  gradient: b => {
    const absent = [b.a.w0, b.a.w1, b.a.w2].map(w => w === 0)
    if (b.dy.every(d => !d)) return [null]
    if (b.dy.some((d, i) => !d && !absent[i])) {
      throw new VeritError('VERIT_SHAPE', {
        op: 'split',
        problem: 'a part is not used by the loss, so its gradient is not defined',
        shapes: b.inputs.map(shapeText).join()
      })
    }
    return [b.apply('concat', b.dy)[0]]
  },
  run: ([x], outputs, { N, w0, w1, w2 }) => {
    const P = w0 + w1 + w2
    let from = 0
    for (const [i, w] of [w0, w1, w2].entries()) {
      for (let n = 0; n < N; n++) {
        for (let c = 0; c < w; c++) outputs[i]![n * w + c] = x[n * P + from + c]!
      }
      from += w
    }
  }
})

export const concat = op({
  name: 'concat',
  inputs: ['x0?', 'x1?', 'x2?'],
  outputs: ['y'],
  attributes: { N: 'int', w0: 'int', w1: 'int', w2: 'int' },
  infer: inputs => {
    const [w0, w1, w2] = [0, 1, 2].map(i => (inputs[i] ? inputs[i].shape[1] : 0))
    return { N: inputs.find(Boolean)?.shape[0], w0, w1, w2 }
  },
  operands: a => ({ inputs: parts(a), outputs: [f32(a.N, total(a))] }),
  gradient: b => (b.dy[0] ? b.apply('split', [b.dy[0]], { w0: b.a.w0, w1: b.a.w1, w2: b.a.w2 }) : [null, null, null]),
  run: (inputs, [y], { N, w0, w1, w2 }) => {
    const P = w0 + w1 + w2
    let from = 0
    for (const [i, w] of [w0, w1, w2].entries()) {
      for (let n = 0; n < N; n++) {
        for (let c = 0; c < w; c++) y[n * P + from + c] = inputs[i]![n * w + c]!
      }
      from += w
    }
  }
})

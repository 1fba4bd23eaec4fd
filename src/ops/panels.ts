/**
 * Matrices in panels of 32 columns, [⌈V/32⌉, K, 32]: the layout that products read fastest. A tied embedding is kept in this form alone: the head multiplies
 * by it, and rows are read out of it. Values may be f16: they are widened exactly.
 */
import { f16Value } from '../lib/half.ts'
import { indexProblem } from './columns.ts'
import { ceilDiv, f16, f32, i32, op, type Data, type Value } from './op.ts'
import type { Dim } from './sizes.ts'

const panelsOf = (half: Dim, V: Dim, K: Dim): Value => (half === 1 ? f16 : f32)(half === 0 || half === 1 ? ceilDiv(V, 32) : NaN, K, 32)

/** Index of B(k, j) in panels of a matrix with K rows. */
export const panelIndex = (k: number, j: number, K: number): number => ((j >> 5) * K + k) * 32 + (j & 31)

export const halfPanels = op({
  name: 'halfPanels',
  inputs: ['w'],
  outputs: ['p'],
  attributes: { Nc: 'int', K: 'int' },
  infer: ([w]) => ({ Nc: w.shape[0], K: w.shape[1] }),
  operands: a => ({ inputs: [f16(a.Nc, a.K)], outputs: [panelsOf(1, a.Nc, a.K)] }),
  check: ([w]) => {
    const bad = (w as Uint16Array).findIndex(h => (h & 0x7c00) === 0x7c00)
    return bad < 0 ? null : `w[${bad}] is not a finite number`
  },
  run: ([w], [p], { Nc, K }) => {
    p.fill(0)
    for (let j = 0; j < Nc; j++) for (let k = 0; k < K; k++) p[panelIndex(k, j, K)] = w[j * K + k]
  },
})

export const panelRows = op({
  name: 'panelRows',
  inputs: ['p', 'ids'],
  outputs: ['y'],
  attributes: { N: 'int', C: 'int', V: 'int', half: 'int' },
  infer: ([p, ids], { V }) => ({ N: ids.shape[0], C: p.shape[1], V, half: p.dtype === 'f16' ? 1 : 0 }),
  operands: a => ({ inputs: [panelsOf(a.half, a.V, a.C), i32(a.N)], outputs: [f32(a.N, a.C)] }),
  check: ([, ids], { V }) => indexProblem('ids', ids, 0, V),
  run: ([p, ids], [y], { N, C }) => {
    const value = valueOf(p)
    for (let n = 0; n < N; n++) for (let c = 0; c < C; c++) y[n * C + c] = value(panelIndex(c, ids[n], C))
  },
})

/** Element i of f32 or f16 data as a number. */
export const valueOf = (data: Data): (i: number) => number => (data instanceof Uint16Array ? i => f16Value(data[i]) : i => data[i])

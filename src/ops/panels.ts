/**
 * Matrices in panels of 32 columns, [⌈V/32⌉, K, 32]: the layout that products read fastest. A tied embedding is kept in
 * this form alone: the head multiplies by it, and rows are read out of it. Values may be f16 or bf16: they are widened
 * exactly.
 */
import { bf16Value, f16Value } from '../lib/half.ts'
import { indexProblem } from './columns.ts'
import { bf16, ceilDiv, f16, f32, i32, op, type Data, type Value } from './op.ts'
import type { Dim } from './sizes.ts'

/** Element types by the attribute `half`. */
const kinds = [f32, f16, bf16] as const
const kindOf = (half: Dim): (typeof kinds)[number] | undefined => (typeof half === 'number' ? kinds[half] : undefined)

const panelsOf = (half: Dim, V: Dim, K: Dim): Value => {
  const kind = kindOf(half)
  return kind ? kind(ceilDiv(V, 32), K, 32) : f32(NaN)
}

/** The attribute `half` of a value. */
const halfOf = ({ dtype }: Value): number => ['f32', 'f16', 'bf16'].indexOf(dtype)

/** Index of B(k, j) in panels of a matrix with K rows. */
export const panelIndex = (k: number, j: number, K: number): number => ((j >> 5) * K + k) * 32 + (j & 31)

export const halfPanels = op({
  name: 'halfPanels',
  inputs: ['w'],
  outputs: ['p'],
  attributes: { Nc: 'int', K: 'int', half: 'int' },
  infer: ([w]) => ({ Nc: w.shape[0], K: w.shape[1], half: halfOf(w) }),
  operands: a => {
    const half = a.half === 1 || a.half === 2 ? a.half : NaN
    return { inputs: [(half === 2 ? bf16 : f16)(a.Nc, a.K)], outputs: [panelsOf(half, a.Nc, a.K)] }
  },
  check: ([w], { half }) => {
    const exponent = half === 2 ? 0x7f80 : 0x7c00
    const bad = (w as Uint16Array).findIndex(h => (h & exponent) === exponent)
    return bad < 0 ? null : `w[${bad}] is not a finite number`
  },
  run: ([w], [p], { Nc, K }) => {
    p.fill(0)
    for (let j = 0; j < Nc; j++) for (let k = 0; k < K; k++) p[panelIndex(k, j, K)] = w[j * K + k]!
  }
})

export const panelRows = op({
  name: 'panelRows',
  inputs: ['p', 'ids'],
  outputs: ['y'],
  attributes: { N: 'int', C: 'int', V: 'int', half: 'int' },
  infer: ([p, ids], { V }) => ({ N: ids.shape[0], C: p.shape[1], V, half: halfOf(p) }),
  operands: a => ({ inputs: [panelsOf(a.half, a.V, a.C), i32(a.N)], outputs: [f32(a.N, a.C)] }),
  check: ([, ids], { V }) => indexProblem('ids', ids, 0, V),
  run: ([p, ids], [y], { N, C, half }) => {
    const value = valueOf(p, half === 2)
    for (let n = 0; n < N; n++) for (let c = 0; c < C; c++) y[n * C + c] = value(panelIndex(c, ids[n]!, C))
  }
})

/** Element i of f32, f16 or bf16 data as a number. */
export function valueOf(data: Data, isBf16 = false): (i: number) => number {
  if (!(data instanceof Uint16Array)) return i => data[i]!
  return isBf16 ? i => bf16Value(data[i]!) : i => f16Value(data[i]!)
}

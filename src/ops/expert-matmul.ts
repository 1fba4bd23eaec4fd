/** Products with the matrices of the experts that were chosen for each token, and their gradients. */
import { fma32 } from '../lib/float.ts'
import { VeritError } from '../lib/errors.ts'
import { indexProblem } from './columns.ts'
import { f32, i32, op, shapeText, times, type Value } from './op.ts'
import { panelLayouts, panelShape } from './matmul.ts'
import { panelIndex, valueOf } from './panels.ts'
import type { Dim } from './sizes.ts'

/** Maximum number of experts of a layer. */
const MOST_EXPERTS = 65536

/** Matrices of all experts, one after the other, laid out as the right-hand side of `matmul`. */
function expertShape(layout: Dim, { E, O, K }: Record<'E' | 'O' | 'K', Dim>): Value {
  if (layout === 0) return f32(times(E, K), O)
  if (layout === 1) return f32(times(E, O), K)
  return panelShape(layout, O, K, Number(E))
}

const allowed = (E: Dim | undefined): Dim | undefined =>
  typeof E === 'number' && E >= 1 && E <= MOST_EXPERTS ? E : undefined

export const expertMatmul = op({
  name: 'expertMatmul',
  inputs: ['x', 'w', 'experts'],
  outputs: ['y'],
  attributes: { N: 'int', O: 'int', K: 'int', E: 'int', k: 'int', shared: 'int', layoutB: 'int' },
  infer: ([x, w, experts], { O, E, layoutB = w.shape.length === 2 ? 1 : panelLayouts[w.dtype] }) => {
    const K = layoutB === 0 ? times(w.shape[0] ?? NaN, 1 / Number(E)) : w.shape[1]
    return {
      N: x.shape[0],
      O,
      K,
      E: allowed(E),
      k: experts.shape[1],
      shared: x.shape[1] === K ? 1 : 0,
      layoutB: layoutB ?? NaN
    }
  },
  operands: a => ({
    inputs: [f32(a.N, times(a.shared ? 1 : a.k, a.K)), expertShape(a.layoutB, a), i32(a.N, a.k)],
    outputs: [f32(a.N, times(a.k, a.O))]
  }),
  gradient: b => {
    const [x, w, experts] = b.inputs
    const dy = b.dy[0]
    const { E, O, K, k, shared, layoutB } = b.a
    if (!dy) return [null, null, null]
    if (layoutB !== 1) {
      const shapes = b.inputs.map(shapeText).join()
      throw new VeritError('VERIT_SHAPE', {
        op: 'expertMatmul',
        problem: 'only weights [E·O, K] have a gradient',
        shapes
      })
    }
    const each = b.needs[0] ? b.apply('expertMatmul', [dy, w, experts], { E, O: K, layoutB: 0 })[0] : null
    const dx = each && shared && k !== 1 ? b.apply('expertSum', [each, null], { k })[0] : each
    return [dx, b.needs[1] ? b.apply('expertMatmulGrad', [x, dy, experts], { E, O, K })[0] : null, null]
  },
  check: ([, , experts], { E }) => indexProblem('experts', experts, 0, E),
  run: ([x, w, experts], [y], { N, O, K, E, k, shared, layoutB }) => {
    const value = valueOf(w, layoutB === 4)
    const size = w.length / E
    const index = (j: number, o: number): number => {
      if (layoutB === 0) return j * O + o
      return layoutB === 1 ? o * K + j : panelIndex(j, o, K)
    }
    for (let i = 0; i < N * k; i++) {
      const from = experts[i]! * size
      const at = (shared ? Math.floor(i / k) : i) * K
      for (let o = 0; o < O; o++) {
        let acc = 0
        for (let j = 0; j < K; j++) acc = fma32(x[at + j]!, value(from + index(j, o)), acc)
        y[i * O + o] = acc
      }
    }
  }
})

export const expertMatmulGrad = op({
  name: 'expertMatmulGrad',
  inputs: ['x', 'dy', 'experts'],
  outputs: ['dw'],
  attributes: { N: 'int', O: 'int', K: 'int', E: 'int', k: 'int', shared: 'int' },
  infer: ([x, , experts], { O, K, E }) => ({
    N: x.shape[0],
    O,
    K,
    E: allowed(E),
    k: experts.shape[1],
    shared: x.shape[1] === K ? 1 : 0
  }),
  operands: a => ({
    inputs: [f32(a.N, times(a.shared ? 1 : a.k, a.K)), f32(a.N, times(a.k, a.O)), i32(a.N, a.k)],
    outputs: [f32(times(a.E, a.O), a.K)]
  }),
  check: ([, , experts], { E }) => indexProblem('experts', experts, 0, E),
  run: ([x, dy, experts], [dw], { N, O, K, k, shared }) => {
    dw.fill(0)
    for (let i = 0; i < N * k; i++) {
      // rows ascend, so that dw adds up in the contract's order
      const at = (shared ? Math.floor(i / k) : i) * K
      for (let o = 0; o < O; o++) {
        const to = (experts[i]! * O + o) * K
        for (let j = 0; j < K; j++) dw[to + j] = fma32(dy[i * O + o]!, x[at + j]!, dw[to + j]!)
      }
    }
  }
})

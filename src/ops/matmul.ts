/**
 * Matrix products (rule R1: one chain of fused multiply-adds an element, k ascending), the panel layout of a right-hand
 * side, column sums.
 */
import { fma32 } from '../lib/float.ts'
import { VeritError } from '../lib/errors.ts'
import { bf16, ceilDiv, f16, f32, op, shapeText, type Backward, type Data, type Value } from './op.ts'
import { panelIndex, valueOf } from './panels.ts'
import type { Dim, DType } from './sizes.ts'

/** Layouts of B that are panels, by element type. */
export const panelLayouts: Partial<Record<DType, number>> = { f32: 2, f16: 3, bf16: 4 }

export const isPanels = (layout: Dim | undefined): boolean => layout === 2 || layout === 3 || layout === 4

/** Panels [⌈columns/32⌉, K, 32] in a layout of that kind, `count` matrices of them. */
export function panelShape(layout: Dim, columns: Dim, K: Dim, count = 1): Value {
  const kind = { 2: f32, 3: f16, 4: bf16 }[layout as number]
  return kind ? kind(count * ceilDiv(columns, 32), K, 32) : f32(NaN)
}

/** Position of B(k, j): layout 0 [K, Nc], 1 [Nc, K], 2 panels [⌈Nc/32⌉, K, 32], 3 the same of f16, 4 of bf16. */
function rightShape(layout: Dim, Nc: Dim, K: Dim): Value {
  if (layout === 0) return f32(K, Nc)
  return layout === 1 ? f32(Nc, K) : panelShape(layout, Nc, K)
}

function rightIndex(layout: number, k: number, j: number, Nc: number, K: number): number {
  if (layout === 0) return k * Nc + j
  return layout === 1 ? j * K + k : panelIndex(k, j, K)
}

/** One column block of an output row: up to four interleaved chains, which changes no bit and hides their latency. */
function row(
  a: Data,
  b: Data,
  c: Data,
  at: number,
  step: number,
  i: number,
  n: { Nc: number; K: number; layoutB: number }
): void {
  const { Nc, K, layoutB } = n
  const value = valueOf(b, layoutB === 4)
  const stride = layoutB === 0 ? Nc : layoutB === 1 ? 1 : 32
  for (let j = 0; j < Nc; j += 4) {
    const last = Nc - 1
    const j1 = Math.min(j + 1, last)
    const j2 = Math.min(j + 2, last)
    const j3 = Math.min(j + 3, last)
    let p0 = rightIndex(layoutB, 0, j, Nc, K)
    let p1 = rightIndex(layoutB, 0, j1, Nc, K)
    let p2 = rightIndex(layoutB, 0, j2, Nc, K)
    let p3 = rightIndex(layoutB, 0, j3, Nc, K)
    let c0 = 0
    let c1 = 0
    let c2 = 0
    let c3 = 0
    for (let k = 0, ak = at; k < K; k++, ak += step) {
      const x = a[ak]
      c0 = fma32(x!, value(p0), c0)
      c1 = fma32(x!, value(p1), c1)
      c2 = fma32(x!, value(p2), c2)
      c3 = fma32(x!, value(p3), c3)
      p0 += stride
      p1 += stride
      p2 += stride
      p3 += stride
    }
    const o = i * Nc
    c[o + j3] = c3
    c[o + j2] = c2
    c[o + j1] = c1
    c[o + j] = c0
  }
}

/** dA = dC·Bᵀ and dB = Aᵀ·dC, each stored as A and B are; layouts express transposition, nothing is copied. */
function matmulGradient(b: Backward): (Value | null)[] {
  const [x, w] = b.inputs
  const dy = b.dy[0]
  if (!dy) return [null, null, null]
  const ta = b.a.transposeA
  const lb = b.a.layoutB
  if (isPanels(lb))
    throw new VeritError('VERIT_SHAPE', {
      op: 'matmul',
      problem: 'panels are for serving and have no gradient',
      shapes: b.inputs.map(shapeText).join()
    })
  const da = !b.needs[0]
    ? null
    : ta
      ? b.apply('matmul', [w!, dy], { transposeA: lb as number, layoutB: 1 })[0]
      : b.apply('matmul', [dy, w!], { transposeA: 0, layoutB: lb === 0 ? 1 : 0 })[0]
  const db = !b.needs[1]
    ? null
    : lb === 0
      ? b.apply('matmul', [x!, dy], { transposeA: ta ? 0 : 1, layoutB: 0 })[0]
      : b.apply('matmul', [dy, x!], { transposeA: 1, layoutB: ta! })[0]
  return [da, db, b.needs[2] ? b.apply('columnSum', [dy])[0] : null]
}

export const matmul = op({
  name: 'matmul',
  inputs: ['a', 'b', 'bias?'],
  outputs: ['c'],
  attributes: { M: 'int', Nc: 'int', K: 'int', transposeA: 'int', layoutB: 'int', hasBias: 'int' },
  infer: ([a, b, bias], { transposeA = 0, layoutB = 0, Nc }) => ({
    M: a.shape[transposeA ? 1 : 0],
    K: a.shape[transposeA ? 0 : 1],
    Nc: isPanels(layoutB) ? Nc : b.shape[layoutB === 1 ? 0 : 1],
    transposeA,
    layoutB,
    hasBias: bias ? 1 : 0
  }),
  operands: a => ({
    inputs: [
      a.transposeA ? f32(a.K, a.M) : f32(a.M, a.K),
      rightShape(a.layoutB, a.Nc, a.K),
      a.hasBias ? f32(a.Nc) : null
    ],
    outputs: [f32(a.M, a.Nc)]
  }),
  gradient: b => matmulGradient(b),
  run: ([a, b, bias], [c], n) => {
    const { M, Nc, K, transposeA, hasBias } = n
    for (let i = 0; i < M; i++) {
      row(a, b, c, transposeA ? i : i * K, transposeA ? M : 1, i, n)
      if (hasBias) for (let j = 0; j < Nc; j++) c[i * Nc + j]! += bias![j]!
    }
  }
})

export const panels = op({
  name: 'panels',
  inputs: ['b'],
  outputs: ['p'],
  attributes: { Nc: 'int', K: 'int', layoutB: 'int' },
  infer: ([b], { layoutB = 0 }) => ({ Nc: b.shape[layoutB === 1 ? 0 : 1], K: b.shape[layoutB === 1 ? 1 : 0], layoutB }),
  operands: a => ({ inputs: [rightShape(a.layoutB === 1 ? 1 : 0, a.Nc, a.K)], outputs: [rightShape(2, a.Nc, a.K)] }),
  run: ([b], [p], { Nc, K, layoutB }) => {
    p.fill(0)
    for (let k = 0; k < K; k++) {
      for (let j = 0; j < Nc; j++) p[rightIndex(2, k, j, Nc, K)] = b[rightIndex(layoutB, k, j, Nc, K)]!
    }
  }
})

export const columnSum = op({
  name: 'columnSum',
  inputs: ['x'],
  outputs: ['y'],
  attributes: { N: 'int', C: 'int' },
  infer: ([x]) => ({ N: x.shape[0], C: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.C)], outputs: [f32(a.C)] }),
  run: ([x], [y], { N, C }) => {
    y.fill(0)
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) y[c]! += x[n * C + c]!
    }
  }
})

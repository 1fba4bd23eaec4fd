/** Mixtures of experts (Shazeer et al. 2017): the choice of experts for each row, products with the matrices of the chosen ones, and their weighted sum. Serving only. */
import { fma32, max32 } from '../lib/float.ts'
import { exp32 } from '../lib/functions.ts'
import { indexProblem } from './columns.ts'
import { ceilDiv, f32, i32, op, times, type Data, type Value } from './op.ts'
import { panelIndex, panelsOf, valueOf } from './panels.ts'
import { maxRow, sumRow } from './reduce.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

/** Least sum of the weights that `normalise` divides by: the smallest normal f16. */
const LEAST_SUM = 6.103515625e-5

function softmax(x: Float32Array): Float32Array {
  const mx = maxRow(x, 0, x.length), e = x.map(v => exp32(fround(v - mx))), inverse = fround(1 / sumRow(e, 0, e.length))
  return e.map(v => v * inverse)
}

/** How logits become probabilities: by softmax over all, by the logistic function, or by softmax over the chosen. */
export const gatings = ['softmax', 'sigmoid', 'chosen'] as const

function probabilities(x: Float32Array, gating: number): Float32Array {
  if (gating === 0) return softmax(x)
  return gating === 1 ? x.map(v => 1 / fround(1 + exp32(-v))) : x
}

/** The indices of the k largest, descending; equal ones ascend, and NaN counts as -∞. */
function largest(scores: Float32Array, k: number): number[] {
  const left = new Set(scores.keys()), at = (i: number): number => (scores[i] !== scores[i] ? -Infinity : scores[i])
  return Array.from({ length: k }, () => {
    let best = -1
    for (const e of left) if (best < 0 || at(e) > at(best)) best = e
    left.delete(best)
    return best
  })
}

export const topExperts = op({
  name: 'topExperts',
  inputs: ['logits', 'bias?'],
  outputs: ['experts', 'weights'],
  attributes: { N: 'int', E: 'int', k: 'int', gating: 'int', normalise: 'int', hasBias: 'int', scale: 'f32' },
  infer: ([logits, bias], { k, gating = 0, normalise = 0, scale = 1 }) => ({
    N: logits.shape[0], E: logits.shape[1], k: Number(k) >= 1 && Number(k) <= Number(logits.shape[1]) ? k : undefined,
    gating: Number(gating) < gatings.length ? gating : undefined, normalise, hasBias: bias ? 1 : 0, scale,
  }),
  operands: a => ({ inputs: [f32(a.N, a.E), a.hasBias ? f32(a.E) : null], outputs: [i32(a.N, a.k), f32(a.N, a.k)] }),
  run: ([logits, bias], [experts, weights], { N, E, k, gating, normalise, scale }) => {
    for (let n = 0; n < N; n++) {
      const p = probabilities((logits as Float32Array).slice(n * E, (n + 1) * E), gating)
      const chosen = largest(bias ? p.map((v, e) => v + bias[e]) : p, k)
      let w: Float32Array = Float32Array.from(chosen, e => p[e])
      if (gating === 2) w = softmax(w)
      if (normalise) {
        const sum = max32(sumRow(w, 0, k), LEAST_SUM)
        w = w.map(v => v / sum)
      }
      experts.set(chosen, n * k)
      weights.set(w.map(v => v * scale), n * k)
    }
  },
})

/** Matrices of E experts: layout 1 [E·O, K], 2 panels [E·⌈O/32⌉, K, 32], 3 and 4 the same of f16 and bf16. */
function matrices(layout: Dim, { E, O, K }: Record<'E' | 'O' | 'K', Dim>): Value {
  return layout === 1 ? f32(times(E, O), K) : panelsOf(Number(layout) >= 2 ? Number(layout) - 2 : NaN, times(times(E, ceilDiv(O, 32)), 32), K)
}

function weightOf(w: Data, { layout, O, K }: Record<'layout' | 'O' | 'K', number>): (e: number, o: number, c: number) => number {
  const value = valueOf(w, layout === 4), padded = Math.ceil(O / 32) * 32
  return layout === 1 ? (e, o, c) => value((e * O + o) * K + c) : (e, o, c) => value(panelIndex(c, e * padded + o, K))
}

export const expertMatmul = op({
  name: 'expertMatmul',
  inputs: ['x', 'w', 'experts', 'bias?'],
  outputs: ['y'],
  attributes: { N: 'int', k: 'int', U: 'int', K: 'int', O: 'int', E: 'int', layout: 'int', hasBias: 'int' },
  infer: ([x, w, experts, bias], { O, E, layout }) => {
    const K = w.shape[1], U = Number(x.shape[1]) / Number(K), k = experts.shape[1]
    return { N: x.shape[0], k, U: U === 1 || U === k ? U : undefined, K, O, E, layout, hasBias: bias ? 1 : 0 }
  },
  operands: a => ({
    inputs: [f32(a.N, times(a.U, a.K)), matrices(a.layout, a), i32(a.N, a.k), a.hasBias ? f32(a.E, a.O) : null], outputs: [f32(a.N, times(a.k, a.O))],
  }),
  check: ([, , experts], { E }) => indexProblem('experts', experts, 0, E),
  run: ([x, w, experts, bias], [y], { N, k, U, K, O, layout }) => {
    const weight = weightOf(w, { layout, O, K })
    for (let r = 0; r < N * k; r++) {
      const from = (U === 1 ? Math.floor(r / k) : r) * K, e = experts[r]
      for (let o = 0; o < O; o++) {
        let acc = 0
        for (let c = 0; c < K; c++) acc = fma32(x[from + c], weight(e, o, c), acc)
        y[r * O + o] = bias ? acc + bias[e * O + o] : acc
      }
    }
  },
})

export const expertSum = op({
  name: 'expertSum',
  inputs: ['y', 'weights'],
  outputs: ['z'],
  attributes: { N: 'int', C: 'int', k: 'int' },
  infer: ([y, weights]) => ({ N: y.shape[0], C: Number(y.shape[1]) / Number(weights.shape[1]), k: weights.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, times(a.k, a.C)), f32(a.N, a.k)], outputs: [f32(a.N, a.C)] }),
  run: ([y, weights], [z], { N, C, k }) => {
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) {
        let acc = fround(weights[n * k] * y[n * k * C + c])
        for (let j = 1; j < k; j++) acc = fma32(weights[n * k + j], y[(n * k + j) * C + c], acc)
        z[n * C + c] = acc
      }
    }
  },
})

/**
 * Causal attention with grouped key heads (Vaswani et al. 2017; Ainslie et al. 2023) over a cache. Keys lie in blocks of 16 rows, so that 16 scores are
 * one vector; softmax is two-pass. Training writes a temporary cache and keeps the probabilities p for the gradient.
 */
import { exp32 } from '../lib/functions.ts'
import { fma32 } from '../lib/float.ts'
import { f32, i32, op, times, type Data, type Value } from './op.ts'
import { indexProblem } from './columns.ts'
import { dotRow, maxRow, scratch, sumRow } from './reduce.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

const keyShape = (G: Dim, R: Dim, D: Dim): Value => f32(G, times(R, 1 / 16), D, 16)
const valueShape = (G: Dim, R: Dim, D: Dim): Value => f32(G, R, D)
const perHead = (width: Dim | undefined, heads: Dim): number => Number(width) / Number(heads)

export const writeKeys = op({
  name: 'writeKeys',
  inputs: ['k', 'cacheRow'],
  outputs: ['cache'],
  attributes: { N: 'int', G: 'int', D: 'int', R: 'int' },
  infer: ([k], { G, R }) => ({ N: k.shape[0], G, D: perHead(k.shape[1], G), R: Number(R) % 16 === 0 ? R : undefined }),
  operands: a => ({ inputs: [f32(a.N, times(a.G, a.D)), i32(a.N)], outputs: [keyShape(a.G, a.R, a.D)] }),
  gradient: b => [b.dy[0], null], // attention passes the derivative by k itself
  check: ([, rows], { R }) => indexProblem('cacheRow', rows, 0, R),
  run: ([k, rows], [cache], { N, G, D, R }) => {
    for (let n = 0; n < N; n++) {
      for (let g = 0; g < G; g++) {
        for (let d = 0; d < D; d++) cache[((g * R / 16 + (rows[n] >> 4)) * D + d) * 16 + (rows[n] & 15)] = k[(n * G + g) * D + d]
      }
    }
  },
})

export const writeValues = op({
  name: 'writeValues',
  inputs: ['v', 'cacheRow'],
  outputs: ['cache'],
  attributes: { N: 'int', G: 'int', D: 'int', R: 'int' },
  infer: ([v], { G, R }) => ({ N: v.shape[0], G, D: perHead(v.shape[1], G), R }),
  operands: a => ({ inputs: [f32(a.N, times(a.G, a.D)), i32(a.N)], outputs: [valueShape(a.G, a.R, a.D)] }),
  gradient: b => [b.dy[0], null],
  check: ([, rows], { R }) => indexProblem('cacheRow', rows, 0, R),
  run: ([v, rows], [cache], { N, G, D, R }) => {
    for (let n = 0; n < N; n++) {
      for (let g = 0; g < G; g++) {
        for (let d = 0; d < D; d++) cache[(g * R + rows[n]) * D + d] = v[(n * G + g) * D + d]
      }
    }
  },
})

function spanProblem([, , , start, length]: readonly Data[], { N, T, R }: Record<'N' | 'T' | 'R', number>): string | null {
  for (let n = 0; n < N; n++) {
    const r = start[n], L = length[n]
    if (L < 1 || L > T || r < 0 || r % 16 !== 0 || r + L > R) {
      return `token ${n} attends to ${L} rows from row ${r}: the start must be a multiple of 16, the length 1 … ${T}, the end at most ${R}`
    }
  }
  return null
}

export const attention = op({
  name: 'attention',
  inputs: ['q', 'keys', 'values', 'start', 'length'],
  outputs: ['o', 'p?'],
  attributes: { N: 'int', H: 'int', G: 'int', D: 'int', T: 'int', R: 'int', scale: 'f32' },
  infer: ([q, keys], { H, T, scale }) => {
    const D = perHead(q.shape[1], H), G = keys.shape[0]
    return { N: q.shape[0], H: Number(H) % Number(G) === 0 ? H : undefined, G, D, T, R: times(keys.shape[1] ?? NaN, 16), scale: scale ?? fround(1 / Math.sqrt(D)) }
  },
  operands: a => ({
    inputs: [f32(a.N, times(a.H, a.D)), keyShape(a.G, a.R, a.D), valueShape(a.G, a.R, a.D), i32(a.N), i32(a.N)],
    outputs: [f32(a.N, times(a.H, a.D)), f32(a.N, a.H, a.T)],
  }),
  gradient: b => {
    const [q, keys, values] = b.inputs, [o, p] = b.outputs, dy = b.dy[0]
    if (!dy) return [null, null, null, null, null]
    const k = b.producer(keys)?.[0] ?? null, v = b.producer(values)?.[0] ?? null
    const gradients = b.apply('attentionGrad', [q, k, v, p, o, dy], { H: b.a.H, G: b.a.G, T: b.a.T, scale: b.a.scale })
    return [...gradients, null, null]
  },
  check: spanProblem,
  run: ([q, keys, values, start, length], [out, p], { N, H, G, D, T, R, scale }) => {
    for (let n = 0; n < N; n++) {
      const r0 = start[n], L = length[n]
      for (let h = 0; h < H; h++) {
        const g = Math.floor(h / (H / G)), at = (n * H + h) * D
        const s = scratch(0, L)
        for (let j = 0; j < L; j++) {
          const r = r0 + j, key = (g * R / 16 + (r >> 4)) * D * 16 + (r & 15)
          let acc = 0
          for (let d = 0; d < D; d++) acc = fma32(q[at + d], keys[key + d * 16], acc)
          s[j] = acc * scale
        }
        const mx = maxRow(s, 0, L)
        for (let j = 0; j < L; j++) s[j] = exp32(fround(s[j] - mx))
        const i = fround(1 / sumRow(s, 0, L))
        for (let d = 0; d < D; d++) out[at + d] = 0
        for (let j = 0; j < L; j++) {
          const pj = fround(s[j] * i), value = (g * R + r0 + j) * D
          if (p) p[(n * H + h) * T + j] = pj
          for (let d = 0; d < D; d++) out[at + d] = fma32(pj, values[value + d], out[at + d])
        }
      }
    }
  },
})

export const attentionGrad = op({
  name: 'attentionGrad',
  inputs: ['q', 'k', 'v', 'p', 'o', 'do'],
  outputs: ['dq', 'dk', 'dv'],
  attributes: { N: 'int', H: 'int', G: 'int', D: 'int', T: 'int', scale: 'f32' },
  infer: ([q], { H, G, T, scale }) => ({ N: q.shape[0], H, G, D: perHead(q.shape[1], H), T, scale }),
  operands: a => {
    const q = f32(a.N, times(a.H, a.D)), k = f32(a.N, times(a.G, a.D))
    return { inputs: [q, k, k, f32(a.N, a.H, a.T), q, q], outputs: [q, k, k] }
  },
  check: (_, { N, T }) => N % T === 0 ? null : `${N} rows are not whole sequences of ${T}`,
  run: ([q, k, v, p, o, dO], [dq, dk, dv], { N, H, G, D, T, scale }) => {
    dq.fill(0)
    dk.fill(0)
    dv.fill(0)
    for (let b = 0; b < N; b += T) {
      for (let h = 0; h < H; h++) { // a group's heads ascend, so dk and dv add up in the contract's order
        const g = Math.floor(h / (H / G))
        for (let i = 0; i < T; i++) {
          const qi = ((b + i) * H + h) * D
          const delta = dotRow(dO, qi, o, qi, D)
          for (let j = 0; j <= i; j++) {
            const kj = ((b + j) * G + g) * D
            const pij = p[((b + i) * H + h) * T + j]
            let dp = 0
            for (let d = 0; d < D; d++) dp = fma32(dO[qi + d], v[kj + d], dp)
            const ds = fround(fround(pij * fround(dp - delta)) * scale)
            for (let d = 0; d < D; d++) {
              dq[qi + d] = fma32(ds, k[kj + d], dq[qi + d])
              dk[kj + d] = fma32(ds, q[qi + d], dk[kj + d])
              dv[kj + d] = fma32(pij, dO[qi + d], dv[kj + d])
            }
          }
        }
      }
    }
  },
})

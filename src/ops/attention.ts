/**
 * Causal attention with grouped key heads (Vaswani et al. 2017; Ainslie et al. 2023) over a cache of pages of 16 rows (Kwon et al. 2023): a table names the
 * pages of each sequence in order, wherever they lie. Keys lie dimension by dimension within a page, so that 16 scores are one vector; softmax is two-pass.
 * Training writes a temporary cache and keeps the probabilities p for the gradient.
 */
import { exp32 } from '../lib/functions.ts'
import { fma32 } from '../lib/float.ts'
import { ceilDiv, f32, i32, op, times, type Data, type Value } from './op.ts'
import { indexProblem } from './columns.ts'
import { dotRow, maxRow, scratch, sumRow } from './reduce.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

/** Rows of the cache in one page. */
export const PAGE_ROWS = 16

const keyShape = (G: Dim, R: Dim, D: Dim): Value => f32(times(R, 1 / PAGE_ROWS), G, D, PAGE_ROWS)
const valueShape = (G: Dim, R: Dim, D: Dim): Value => f32(times(R, 1 / PAGE_ROWS), G, PAGE_ROWS, D)
/** Where row r of head g begins: its keys (one every 16 elements) and its values. */
const keyAt = (r: number, g: number, G: number, D: number): number => ((r >> 4) * G + g) * 16 * D + (r & 15)
const valueAt = (r: number, g: number, G: number, D: number): number => (((r >> 4) * G + g) * 16 + (r & 15)) * D
const wholePages = (R: Dim | undefined): Dim | undefined => (Number(R) % PAGE_ROWS === 0 ? R : undefined)
const perHead = (width: Dim | undefined, heads: Dim): number => Number(width) / Number(heads)

export const writeKeys = op({
  name: 'writeKeys',
  inputs: ['k', 'cacheRow'],
  outputs: ['cache'],
  attributes: { N: 'int', G: 'int', D: 'int', R: 'int' },
  infer: ([k], { G, R }) => ({ N: k.shape[0], G, D: perHead(k.shape[1], G), R: wholePages(R) }),
  operands: a => ({ inputs: [f32(a.N, times(a.G, a.D)), i32(a.N)], outputs: [keyShape(a.G, a.R, a.D)] }),
  gradient: b => [b.dy[0], null], // attention passes the derivative by k itself
  check: ([, rows], { R }) => indexProblem('cacheRow', rows, 0, R),
  run: ([k, rows], [cache], { N, G, D }) => {
    for (let n = 0; n < N; n++) {
      for (let g = 0; g < G; g++) {
        const at = keyAt(rows[n], g, G, D)
        for (let d = 0; d < D; d++) cache[at + d * 16] = k[(n * G + g) * D + d]
      }
    }
  },
})

export const writeValues = op({
  name: 'writeValues',
  inputs: ['v', 'cacheRow'],
  outputs: ['cache'],
  attributes: { N: 'int', G: 'int', D: 'int', R: 'int' },
  infer: ([v], { G, R }) => ({ N: v.shape[0], G, D: perHead(v.shape[1], G), R: wholePages(R) }),
  operands: a => ({ inputs: [f32(a.N, times(a.G, a.D)), i32(a.N)], outputs: [valueShape(a.G, a.R, a.D)] }),
  gradient: b => [b.dy[0], null],
  check: ([, rows], { R }) => indexProblem('cacheRow', rows, 0, R),
  run: ([v, rows], [cache], { N, G, D }) => {
    for (let n = 0; n < N; n++) {
      for (let g = 0; g < G; g++) {
        const at = valueAt(rows[n], g, G, D)
        for (let d = 0; d < D; d++) cache[at + d] = v[(n * G + g) * D + d]
      }
    }
  },
})

/** Width of a page table: pages of the longest sequence. */
const tableWidth = (T: number): number => Math.ceil(T / PAGE_ROWS)

type Span = Record<'N' | 'T' | 'R' | 'S', number>

function spanProblem([, , , pages, sequence, length]: readonly Data[], { N, T, R, S }: Span): string | null {
  for (let n = 0; n < N; n++) {
    const s = sequence[n], L = length[n]
    if (L < 1 || L > T || s < 0 || s >= S) return `token ${n} attends to ${L} rows of sequence ${s}: the length must be 1 … ${T}, the sequence 0 … ${S - 1}`
    for (let b = 0; b < tableWidth(L); b++) {
      const page = pages[s * tableWidth(T) + b]
      if (page < 0 || page >= R / PAGE_ROWS) return `page ${b} of sequence ${s} is ${page}, not in 0 … ${R / PAGE_ROWS - 1}`
    }
  }
  return null
}

export const attention = op({
  name: 'attention',
  inputs: ['q', 'keys', 'values', 'pages', 'sequence', 'length'],
  outputs: ['o', 'p?'],
  attributes: { N: 'int', H: 'int', G: 'int', D: 'int', T: 'int', R: 'int', S: 'int', scale: 'f32' },
  infer: ([q, keys, , pages], { H, T, scale }) => {
    const D = perHead(q.shape[1], H), G = keys.shape[1] ?? NaN
    return {
      N: q.shape[0], H: Number(H) % Number(G) === 0 ? H : undefined, G, D, T, R: times(keys.shape[0] ?? NaN, PAGE_ROWS), S: pages.shape[0],
      scale: scale ?? fround(1 / Math.sqrt(D)),
    }
  },
  operands: a => ({
    inputs: [f32(a.N, times(a.H, a.D)), keyShape(a.G, a.R, a.D), valueShape(a.G, a.R, a.D), i32(a.S, ceilDiv(a.T, PAGE_ROWS)), i32(a.N), i32(a.N)],
    outputs: [f32(a.N, times(a.H, a.D)), f32(a.N, a.H, a.T)],
  }),
  gradient: b => {
    const [q, keys, values] = b.inputs, [o, p] = b.outputs, dy = b.dy[0]
    if (!dy) return [null, null, null, null, null, null]
    const k = b.producer(keys)?.[0] ?? null, v = b.producer(values)?.[0] ?? null
    const gradients = b.apply('attentionGrad', [q, k, v, p, o, dy], { H: b.a.H, G: b.a.G, T: b.a.T, scale: b.a.scale })
    return [...gradients, null, null, null]
  },
  check: spanProblem,
  run: ([q, keys, values, pages, sequence, length], [out, p], { N, H, G, D, T, scale }) => {
    for (let n = 0; n < N; n++) {
      const L = length[n]
      const row = (j: number): number => pages[sequence[n] * tableWidth(T) + (j >> 4)] * PAGE_ROWS + (j & 15)
      for (let h = 0; h < H; h++) {
        const g = Math.floor(h / (H / G)), at = (n * H + h) * D
        const s = scratch(0, L)
        for (let j = 0; j < L; j++) {
          const key = keyAt(row(j), g, G, D)
          let acc = 0
          for (let d = 0; d < D; d++) acc = fma32(q[at + d], keys[key + d * 16], acc)
          s[j] = acc * scale
        }
        const mx = maxRow(s, 0, L)
        for (let j = 0; j < L; j++) s[j] = exp32(fround(s[j] - mx))
        const i = fround(1 / sumRow(s, 0, L))
        for (let d = 0; d < D; d++) out[at + d] = 0
        for (let j = 0; j < L; j++) {
          const pj = fround(s[j] * i), value = valueAt(row(j), g, G, D)
          if (p) p[(n * H + h) * T + j] = pj
          for (let d = 0; d < D; d++) out[at + d] = fma32(pj, values[value + d], out[at + d])
        }
      }
    }
  },
})

export const attentionGrad = op({
  name: 'attentionGrad',
  inputs: ['q', 'k', 'v', 'p', 'o', 'dO'],
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

/**
 * Causal attention with grouped key heads (Vaswani et al. 2017; Ainslie et al. 2023) over a cache of pages of 16 rows
 * (Kwon et al. 2023): a table lists the pages of each sequence in order. Keys are stored dimension by dimension within
 * a page, so that 16 scores are one vector. Softmax has two passes. Training writes a temporary cache and keeps the
 * probabilities p for the gradient.
 */
import { exp32, tanh32 } from '../lib/functions.ts'
import { fma32, max32 } from '../lib/float.ts'
import { f16Bits } from '../lib/half.ts'
import { ceilDiv, f16, f32, i32, op, times, type Data, type Value } from './op.ts'
import { indexProblem } from './columns.ts'
import { valueOf } from './panels.ts'
import { dotRow, maxRow, scratch, sumRow } from './reduce.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

/** Rows of the cache in one page. */
export const PAGE_ROWS = 16

/** Sizes of a cache; half: of f16, which are rounded when they are written and widened exactly when they are read. */
type Cache = Readonly<Record<'G' | 'R' | 'D' | 'half', Dim>>
const pagesOf = ({ R, half }: Cache, ...rest: Dim[]): Value =>
  (half === 1 ? f16 : f32)(half === 0 || half === 1 ? times(R, 1 / PAGE_ROWS) : NaN, ...rest)
const keyShape = (c: Cache): Value => pagesOf(c, c.G, c.D, PAGE_ROWS)
const valueShape = (c: Cache): Value => pagesOf(c, c.G, PAGE_ROWS, c.D)
const stored = (half: number): ((x: number) => number) => (half ? f16Bits : x => x)
/** Where row r of head g begins: its keys (one every 16 elements) and its values. */
const keyAt = (r: number, g: number, G: number, D: number): number => ((r >> 4) * G + g) * 16 * D + (r & 15)
const valueAt = (r: number, g: number, G: number, D: number): number => (((r >> 4) * G + g) * 16 + (r & 15)) * D
const wholePages = (R: Dim | undefined): Dim | undefined => (Number(R) % PAGE_ROWS === 0 ? R : undefined)
const perHead = (width: Dim | undefined, heads: Dim): number => Number(width) / Number(heads)

export const writeKeys = op({
  name: 'writeKeys',
  inputs: ['k', 'cacheRow'],
  outputs: ['cache'],
  attributes: { N: 'int', G: 'int', D: 'int', R: 'int', half: 'int' },
  infer: ([k], { G, R, half = 0 }) => ({ N: k.shape[0], G, D: perHead(k.shape[1], G!), R: wholePages(R), half }),
  operands: a => ({ inputs: [f32(a.N, times(a.G, a.D)), i32(a.N)], outputs: [keyShape(a)] }),
  gradient: b => [b.dy[0], null], // attention passes the derivative by k itself
  check: ([, rows], { R }) => indexProblem('cacheRow', rows, 0, R),
  run: ([k, rows], [cache], { N, G, D, half }) => {
    const put = stored(half)
    for (let n = 0; n < N; n++) {
      for (let g = 0; g < G; g++) {
        const at = keyAt(rows[n]!, g, G, D)
        for (let d = 0; d < D; d++) cache[at + d * 16] = put(k[(n * G + g) * D + d]!)
      }
    }
  }
})

export const writeValues = op({
  name: 'writeValues',
  inputs: ['v', 'cacheRow'],
  outputs: ['cache'],
  attributes: { N: 'int', G: 'int', D: 'int', R: 'int', half: 'int' },
  infer: ([v], { G, R }) => ({ N: v.shape[0], G, D: perHead(v.shape[1], G!), R: wholePages(R) }),
  operands: a => ({ inputs: [f32(a.N, times(a.G, a.D)), i32(a.N)], outputs: [valueShape(a)] }),
  gradient: b => [b.dy[0], null],
  check: ([, rows], { R }) => indexProblem('cacheRow', rows, 0, R),
  run: ([v, rows], [cache], { N, G, D, half }) => {
    const put = stored(half)
    for (let n = 0; n < N; n++) {
      for (let g = 0; g < G; g++) {
        const at = valueAt(rows[n]!, g, G, D)
        for (let d = 0; d < D; d++) cache[at + d] = put(v[(n * G + g) * D + d]!)
      }
    }
  }
})

/** Width of a page table: pages of the longest sequence. */
const tableWidth = (T: number): number => Math.ceil(T / PAGE_ROWS)

type Span = Record<'N' | 'T' | 'R' | 'S', number>

function spanProblem(
  [, , , pages, sequence, length]: readonly (Data | undefined)[],
  { N, T, R, S }: Span
): string | null {
  for (let n = 0; n < N; n++) {
    const s = sequence![n]
    const L = length![n]
    if (L! < 1 || L! > T || s! < 0 || s! >= S)
      return `token ${n} attends to ${L} rows of sequence ${s}: the length must be 1 … ${T}, the sequence 0 … ${S - 1}`
    for (let b = 0; b < tableWidth(L!); b++) {
      const page = pages![s! * tableWidth(T) + b]
      if (page! < 0 || page! >= R / PAGE_ROWS)
        return `page ${b} of sequence ${s} is ${page}, not in 0 … ${R / PAGE_ROWS - 1}`
    }
  }
  return null
}

/** The score that the softmax sees. */
const capped = (score: number, scale: number, softcap: number): number =>
  softcap > 0 ? softcap * tanh32(fround(fround(score * scale) / softcap)) : score * scale

export const attention = op({
  name: 'attention',
  inputs: ['q', 'keys', 'values', 'pages', 'sequence', 'length', 'sinks?'],
  outputs: ['o', 'p?', 'rest?'],
  attributes: {
    N: 'int',
    H: 'int',
    G: 'int',
    D: 'int',
    T: 'int',
    R: 'int',
    S: 'int',
    window: 'int',
    hasSinks: 'int',
    half: 'int',
    scale: 'f32',
    softcap: 'f32'
  },
  infer: ([q, keys, , pages, , , sinks], { H, T, scale, window = 0, softcap = 0 }) => {
    const D = perHead(q.shape[1], H!)
    const G = keys.shape[1] ?? NaN
    return {
      N: q.shape[0],
      H: Number(H) % Number(G) === 0 ? H : undefined,
      G,
      D,
      T,
      R: times(keys.shape[0] ?? NaN, PAGE_ROWS),
      S: pages.shape[0],
      window,
      hasSinks: sinks ? 1 : 0,
      half: keys.dtype === 'f16' ? 1 : 0,
      scale: scale ?? fround(1 / Math.sqrt(D)),
      softcap: Number(softcap) >= 0 ? softcap : undefined
    }
  },
  operands: a => ({
    inputs: [
      f32(a.N, times(a.H, a.D)),
      keyShape(a),
      valueShape(a),
      i32(a.S, ceilDiv(a.T, PAGE_ROWS)),
      i32(a.N),
      i32(a.N),
      a.hasSinks ? f32(a.H) : null
    ],
    outputs: [f32(a.N, times(a.H, a.D)), f32(a.N, a.H, a.T), a.hasSinks ? f32(a.N, a.H) : null]
  }),
  gradient: b => {
    const [q, keys, values, , , , sinks] = b.inputs
    const [o, p, rest] = b.outputs
    const dy = b.dy[0]
    if (!dy) return [null, null, null, null, null, null, null]
    const k = b.producer(keys)?.[0] ?? null
    const v = b.producer(values)?.[0] ?? null
    const gradients = b.apply('attentionGrad', [q, k, v, p, o, dy], {
      H: b.a.H,
      G: b.a.G,
      T: b.a.T,
      scale: b.a.scale,
      softcap: b.a.softcap
    })
    return [...gradients, null, null, null, sinks && b.needs[6] ? b.apply('attentionSinkGrad', [o, dy, rest])[0] : null]
  },
  check: spanProblem,
  run: (
    [q, keys, values, pages, sequence, length, sinks],
    [out, p, rest],
    { N, H, G, D, T, scale, window, softcap }
  ) => {
    const keyOf = valueOf(keys)
    const valueAtIndex = valueOf(values)
    for (let n = 0; n < N; n++) {
      const L = length[n]
      const first = window > 0 ? Math.max(0, L! - window) : 0
      const base = first - (first % PAGE_ROWS) // lanes count from the first position of a page
      const row = (j: number): number => pages[sequence[n]! * tableWidth(T) + (j >> 4)]! * PAGE_ROWS + (j & 15)
      for (let h = 0; h < H; h++) {
        const g = Math.floor(h / (H / G))
        const at = (n * H + h) * D
        const s = scratch(0, L! - base)
        s.fill(-Infinity, 0, first - base)
        for (let j = first; j < L!; j++) {
          const key = keyAt(row(j), g, G, D)
          let acc = 0
          for (let d = 0; d < D; d++) acc = fma32(q[at + d]!, keyOf(key + d * 16), acc)
          s[j - base] = capped(acc, scale, softcap)
        }
        const largest = maxRow(s, 0, L! - base)
        const mx = sinks ? max32(largest, sinks[h]!) : largest
        s.fill(0, 0, first - base)
        for (let j = first; j < L!; j++) s[j - base] = exp32(fround(s[j - base]! - mx))
        const sink = sinks ? exp32(fround(sinks[h]! - mx)) : 0
        const l = sumRow(s, 0, L! - base)
        const i = fround(1 / (sinks ? fround(l + sink) : l))
        if (rest) rest[n * H + h] = sink * i
        if (p) p.fill(0, (n * H + h) * T, (n * H + h) * T + first)
        for (let d = 0; d < D; d++) out[at + d] = 0
        for (let j = first; j < L!; j++) {
          const pj = fround(s[j - base]! * i)
          const value = valueAt(row(j), g, G, D)
          if (p) p[(n * H + h) * T + j] = pj
          for (let d = 0; d < D; d++) out[at + d] = fma32(pj, valueAtIndex(value + d), out[at + d]!)
        }
      }
    }
  }
})

export const attentionGrad = op({
  name: 'attentionGrad',
  inputs: ['q', 'k', 'v', 'p', 'o', 'dO'],
  outputs: ['dq', 'dk', 'dv'],
  attributes: { N: 'int', H: 'int', G: 'int', D: 'int', T: 'int', scale: 'f32', softcap: 'f32' },
  infer: ([q], { H, G, T, scale, softcap = 0 }) => ({
    N: q.shape[0],
    H,
    G,
    D: perHead(q.shape[1], H!),
    T,
    scale,
    softcap
  }),
  operands: a => {
    const q = f32(a.N, times(a.H, a.D))
    const k = f32(a.N, times(a.G, a.D))
    return { inputs: [q, k, k, f32(a.N, a.H, a.T), q, q], outputs: [q, k, k] }
  },
  check: (_, { N, T }) => (N % T === 0 ? null : `${N} rows are not whole sequences of ${T}`),
  run: ([q, k, v, p, o, dO], [dq, dk, dv], { N, H, G, D, T, scale, softcap }) => {
    dq.fill(0)
    dk.fill(0)
    dv.fill(0)
    for (let b = 0; b < N; b += T) {
      for (let h = 0; h < H; h++) {
        // a group's heads ascend, so dk and dv add up in the contract's order
        const g = Math.floor(h / (H / G))
        for (let i = 0; i < T; i++) {
          const qi = ((b + i) * H + h) * D
          const delta = dotRow(dO, qi, o, qi, D)
          for (let j = 0; j <= i; j++) {
            const kj = ((b + j) * G + g) * D
            const pij = p[((b + i) * H + h) * T + j]
            let dp = 0
            for (let d = 0; d < D; d++) dp = fma32(dO[qi + d]!, v[kj + d]!, dp)
            let ds = fround(pij! * fround(dp - delta))
            if (softcap > 0) {
              let score = 0
              for (let d = 0; d < D; d++) score = fma32(q[qi + d]!, k[kj + d]!, score)
              const t = tanh32(fround(fround(score * scale) / softcap))
              ds = fround(ds * fround(1 - fround(t * t)))
            }
            ds = fround(ds * scale)
            for (let d = 0; d < D; d++) {
              dq[qi + d] = fma32(ds, k[kj + d]!, dq[qi + d]!)
              dk[kj + d] = fma32(ds, q[qi + d]!, dk[kj + d]!)
              dv[kj + d] = fma32(pij!, dO[qi + d]!, dv[kj + d]!)
            }
          }
        }
      }
    }
  }
})

/** The gradient of the sinks, from each sink's share of a row's probability. */
export const attentionSinkGrad = op({
  name: 'attentionSinkGrad',
  inputs: ['o', 'dO', 'rest'],
  outputs: ['dsinks'],
  attributes: { N: 'int', H: 'int', D: 'int' },
  infer: ([o, , rest]) => ({ N: o.shape[0], H: rest.shape[1], D: perHead(o.shape[1], rest.shape[1] ?? NaN) }),
  operands: a => {
    const o = f32(a.N, times(a.H, a.D))
    return { inputs: [o, o, f32(a.N, a.H)], outputs: [f32(a.H)] }
  },
  run: ([o, dO, rest], [dsinks], { N, H, D }) => {
    dsinks.fill(0)
    for (let n = 0; n < N; n++) {
      for (let h = 0; h < H; h++) {
        const at = (n * H + h) * D
        dsinks[h] = fma32(-rest[n * H + h]!, dotRow(dO, at, o, at, D), dsinks[h]!)
      }
    }
  }
})

/**
 * A short depthwise causal convolution over time, the mixing layer of LFM2 (Liquid AI 2025). Earlier positions are read
 * from a paged cache, which `writeValues` fills as one value head of width C (see attention.ts).
 */
import { fma32 } from '../lib/float.ts'
import { PAGE_ROWS } from './attention.ts'
import { ceilDiv, f32, i32, op, times, type Data } from './op.ts'

type Sizes = Record<'N' | 'C' | 'L' | 'T' | 'R' | 'S', number>

/** The first of L positions that end at the last one of `length`; positions before the sequence are skipped. */
const firstOf = (length: number, L: number): number => Math.max(0, length - L)

function spanProblem([, , pages, sequence, length]: readonly Data[], { N, L, T, R, S }: Sizes): string | null {
  const width = Math.ceil(T / PAGE_ROWS)
  for (let n = 0; n < N; n++) {
    const s = sequence![n]
    const end = length![n]
    const range = `the length must be 1 … ${T}, the sequence 0 … ${S - 1}`
    if (end! < 1 || end! > T || s! < 0 || s! >= S) return `token ${n} is the last of ${end} of sequence ${s}: ${range}`
    for (let b = firstOf(end!, L) >> 4; b <= (end! - 1) >> 4; b++) {
      const page = pages![s! * width + b]
      if (page! < 0 || page! >= R / PAGE_ROWS)
        return `page ${b} of sequence ${s} is ${page}, not in 0 … ${R / PAGE_ROWS - 1}`
    }
  }
  return null
}

export const shortConv = op({
  name: 'shortConv',
  inputs: ['values', 'w', 'pages', 'sequence', 'length'],
  outputs: ['y'],
  attributes: { N: 'int', C: 'int', L: 'int', T: 'int', R: 'int', S: 'int' },
  infer: ([values, w, pages, sequence], { T }) => ({
    N: sequence.shape[0],
    C: w.shape[0],
    L: w.shape[1],
    T,
    R: times(values.shape[0] ?? NaN, PAGE_ROWS),
    S: pages.shape[0]
  }),
  operands: a => ({
    inputs: [
      f32(times(a.R, 1 / PAGE_ROWS), 1, PAGE_ROWS, a.C),
      f32(a.C, a.L),
      i32(a.S, ceilDiv(a.T, PAGE_ROWS)),
      i32(a.N),
      i32(a.N)
    ],
    outputs: [f32(a.N, a.C)]
  }),
  gradient: b => {
    const [values, w] = b.inputs
    const dy = b.dy[0]
    if (!dy) return [null, null, null, null, null]
    const x = b.producer(values)?.[0] ?? null
    return [...b.apply('shortConvGrad', [x, w, dy], { T: b.a.T }), null, null, null]
  },
  check: spanProblem,
  run: ([values, w, pages, sequence, length], [y], { N, C, L, T }) => {
    const width = Math.ceil(T / PAGE_ROWS)
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) {
        let acc = 0
        for (let p = firstOf(length[n]!, L); p < length[n]!; p++) {
          const row = pages[sequence[n]! * width + (p >> 4)]! * PAGE_ROWS + (p & 15)
          acc = fma32(w[c * L + L - length[n]! + p]!, values[row * C + c]!, acc)
        }
        y[n * C + c] = acc
      }
    }
  }
})

export const shortConvGrad = op({
  name: 'shortConvGrad',
  inputs: ['x', 'w', 'dy'],
  outputs: ['dx', 'dw'],
  attributes: { N: 'int', C: 'int', L: 'int', T: 'int' },
  infer: ([x, w], { T }) => ({ N: x.shape[0], C: w.shape[0], L: w.shape[1], T }),
  operands: a => ({ inputs: [f32(a.N, a.C), f32(a.C, a.L), f32(a.N, a.C)], outputs: [f32(a.N, a.C), f32(a.C, a.L)] }),
  check: (_, { N, T }) => (N % T === 0 ? null : `${N} rows are not whole sequences of ${T}`),
  run: ([x, w, dy], [dx, dw], { N, C, L, T }) => {
    dx.fill(0)
    dw.fill(0)
    for (let n = 0; n < N; n++) {
      // rows ascend, so that dx and dw add up in the contract's order
      for (let back = Math.min(L - 1, n % T); back >= 0; back--) {
        for (let c = 0; c < C; c++) {
          const tap = c * L + L - 1 - back
          const from = (n - back) * C + c
          const d = dy[n * C + c]
          dx[from] = fma32(w[tap]!, d!, dx[from]!)
          dw[tap] = fma32(d!, x[from]!, dw[tap]!)
        }
      }
    }
  }
})

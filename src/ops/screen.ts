/**
 * A screened head: an f16 matrix w [O, K], stored by rows, with a 6-bit copy (fine-q6-k.ts). The copy's product y, and
 * a bound on its distance from the exact product, tell which outputs can be among the `top` largest; only those are
 * computed, by the same chain as in any product (R1), and the others are -∞. So the `top` largest, and all equal to the
 * last of them, have the bits of a whole product. docs/internals/output-head-screening.md has the proof.
 *
 * For a row x with ‖x‖ and step δ of its rounding to 14 bits, |exact - y| <= e·‖x‖ + n·δ, where e covers |w - copy| and
 * the roundings of both products, and n is |copy|, as lengths of rows. Errors are in blocks of 16 outputs: 16 times e,
 * 16 times n.
 */
import { fma32, rne } from '../lib/float.ts'
import { f16Value } from '../lib/half.ts'
import { indexProblem } from './columns.ts'
import { ceilDiv, f16, f32, i32, op, type Data } from './op.ts'
import type { Value } from './op.ts'
import { codesShape, factorsShape, putCode, putScale, scalesShape } from './fine-q6-k.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround
const SLACK = 1 + 2 ** -20
const errorsShape = (O: Dim): Value => f32(ceilDiv(O, 16), 2, 16)
/** K, or a size that nothing has. */
const width = (K: Dim): Dim => (typeof K === 'number' && K > 0 && K % 256 === 0 && K <= 1 << 20 ? K : NaN)

/** Length of a vector of K elements in f64: sums of every 16th, then of these. */
function length(value: (k: number) => number, K: number): number {
  const lanes = new Float64Array(16)
  for (let k = 0; k < K; k++) lanes[k & 15]! += value(k) * value(k)
  return Math.sqrt(lanes.reduce((a, b) => a + b, 0))
}

export const screenQ6_K = op({
  name: 'screenQ6_K',
  inputs: ['w'],
  outputs: ['codes', 's', 'd', 'errors'],
  attributes: { O: 'int', K: 'int' },
  infer: ([w]) => ({ O: w.shape[0], K: w.shape[1] }),
  operands: a => ({
    inputs: [f16(a.O, width(a.K))],
    outputs: [codesShape(a.O, a.K), scalesShape(a.O, a.K), factorsShape(a.O, a.K), errorsShape(a.O)]
  }),
  check: ([w]) => {
    const bad = (w as Uint16Array).findIndex(h => (h & 0x7c00) === 0x7c00)
    return bad < 0 ? null : `w[${bad}] is not a finite number`
  },
  run: ([w], [codes, s, d, errors], { O, K }) => {
    for (const part of [codes, s, d, errors]) part.fill(0)
    for (let o = 0; o < O; o++) {
      const row = Float64Array.from({ length: K }, (_, k) => f16Value(w[o * K + k]!))
      const copy = new Float64Array(K)
      const most = (from: number, n: number): number =>
        row.subarray(from, from + n).reduce((m, x) => Math.max(m, Math.abs(x)), 0)
      for (let k = 0; k < K; k++) {
        const factor = fround(most(k & ~255, 256) / (31 * 127))
        const unit = fround(factor * 31)
        const scale = unit > 0 ? Math.min(127, Math.ceil(fround(most(k & ~15, 16) / unit))) : 0
        const step = fround(factor * scale)
        const code = rne(fround(row[k]! * (step > 0 ? fround(1 / step) : 0)))
        putScale(s, d, o, k, K, scale, factor)
        putCode(codes, o, k, K, code + 32)
        copy[k] = step * code
      }
      const norm = length(k => row[k]!, K)
      const apart = length(k => row[k]! - copy[k]!, K)
      const at = (o >> 4) * 32 + (o & 15)
      errors[at] = (apart + (K + 64) * 2 ** -23 * (norm + apart)) * SLACK + 2 ** -60
      errors[at + 16] = (norm + apart) * SLACK
    }
  }
})

/** Largest error of the estimate of output o. */
function bound(errors: Data, limits: Data, n: number, o: number): number {
  const at = (o >> 4) * 32 + (o & 15)
  return fround(fround(errors[at]! * limits[n * 3]!) + fround(errors[at + 16]! * limits[n * 3 + 1]!))
}

/**
 * With a longer row of x, a sum of f16 weights can pass f32's range on the way, whatever it comes to: then all is
 * computed.
 */
const LONGEST_ROW = 2 ** 100
/** A larger `top` asks for all. */
export const MOST_TOP = 1024

export const screenLimits = op({
  name: 'screenLimits',
  inputs: ['x', 'scale', 'y', 'errors', 'top'],
  outputs: ['limits'],
  attributes: { N: 'int', O: 'int', K: 'int' },
  infer: ([x, , y]) => ({ N: x.shape[0], O: y.shape[1], K: x.shape[1] }),
  operands: a => ({
    inputs: [f32(a.N, width(a.K)), f32(a.N), f32(a.N, a.O), errorsShape(a.O), i32(a.N)],
    outputs: [f32(a.N, 3)]
  }),
  run: ([x, scale, y, errors, top], [limits], { N, O, K }) => {
    for (let n = 0; n < N; n++) {
      const norm = length(k => x[n * K + k]!, K) * SLACK
      limits[n * 3] = norm > LONGEST_ROW ? Infinity : norm < 2 ** -40 ? 2 ** -40 : norm
      limits[n * 3 + 1] = scale[n]! * (0.501 * Math.sqrt(K))
      limits[n * 3 + 2] = -Infinity
      if (top[n]! < 1 || top[n]! > MOST_TOP || top[n]! >= O) continue
      const low = Float32Array.from({ length: O }, (_, o) => y[n * O + o]! - bound(errors, limits, n, o)).map(x =>
        x !== x ? -Infinity : x
      )
      limits[n * 3 + 2] = low.sort()[O - top[n]!]!
    }
  }
})

export const screenedMatmul = op({
  name: 'screenedMatmul',
  inputs: ['x', 'w', 'y', 'errors', 'limits'],
  outputs: ['logits'],
  attributes: { N: 'int', O: 'int', K: 'int' },
  infer: ([x, w]) => ({ N: x.shape[0], O: w.shape[0], K: x.shape[1] }),
  operands: a => ({
    inputs: [f32(a.N, width(a.K)), f16(a.O, a.K), f32(a.N, a.O), errorsShape(a.O), f32(a.N, 3)],
    outputs: [f32(a.N, a.O)]
  }),
  inPlace: [2],
  run: ([x, w, y, errors, limits], [logits], { N, O, K }) => {
    for (let n = 0; n < N; n++) {
      for (let o = 0; o < O; o++) {
        if (fround(y[n * O + o]! + bound(errors, limits, n, o)) < limits[n * 3 + 2]!) logits[n * O + o] = -Infinity
        else {
          let acc = 0
          for (let k = 0; k < K; k++) acc = fma32(x[n * K + k]!, f16Value(w[o * K + k]!), acc)
          logits[n * O + o] = acc
        }
      }
    }
  }
})

export const halfRows = op({
  name: 'halfRows',
  inputs: ['w', 'ids'],
  outputs: ['y'],
  attributes: { N: 'int', C: 'int', V: 'int' },
  infer: ([w, ids]) => ({ N: ids.shape[0], C: w.shape[1], V: w.shape[0] }),
  operands: a => ({ inputs: [f16(a.V, a.C), i32(a.N)], outputs: [f32(a.N, a.C)] }),
  check: ([, ids], { V }) => indexProblem('ids', ids, 0, V),
  run: ([w, ids], [y], { N, C }) => {
    for (let n = 0; n < N; n++) for (let c = 0; c < C; c++) y[n * C + c] = f16Value(w[ids[n]! * C + c]!)
  }
})

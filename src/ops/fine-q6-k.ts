/**
 * A head of ggml's Q6_K over rows of 14 bits (fine.ts): w = (d · s) · (c - 32) with a code c of 6 bits, a scale s
 * (int8) for 16 weights of a row and a factor d (f32) for 256. Each group of 16 gives one exact integer below 2^24, and
 * one chain of fused multiply-adds joins the groups (R3, then R1). Codes lie in blocks of 16 outputs x 16 inputs, 192
 * bytes: 64 + 64 of low nibbles, 64 of the upper two bits.
 */
import { fma32 } from '../lib/float.ts'
import { f16Value } from '../lib/half.ts'
import { indexProblem } from './columns.ts'
import { ceilDiv, f32, i32, i8, op, u8, type Data, type Value } from './op.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

const over = (a: Dim, b: number): number => (typeof a === 'number' && a % b === 0 ? a / b : NaN)
export const codesShape = (O: Dim, K: Dim): Value => u8(ceilDiv(O, 16), over(K, 256) * 16, 192)
export const scalesShape = (O: Dim, K: Dim): Value => i8(ceilDiv(O, 16), over(K, 256) * 16, 16)
export const factorsShape = (O: Dim, K: Dim): Value => f32(ceilDiv(O, 16), over(K, 256), 16)

/** The block of 16 x 16 of output o and input k, counted from the first. */
const blockOf = (o: number, k: number, K: number): number => (o >> 4) * (K >> 4) + (k >> 4)

/** Code of weight (o, k), 0 to 63. */
function codeOf(codes: Data, o: number, k: number, K: number): number {
  const block = blockOf(o, k, K) * 192
  const step = (k & 15) >> 2
  const place = (o & 15) * 4 + (k & 3)
  return (
    ((codes[block + (step >> 1) * 64 + place]! >> (4 * (step & 1))) & 15) |
    (((codes[block + 128 + place]! >> (2 * step)) & 3) << 4)
  )
}

export function putCode(codes: Data, o: number, k: number, K: number, code: number): void {
  const block = blockOf(o, k, K) * 192
  const step = (k & 15) >> 2
  const place = (o & 15) * 4 + (k & 3)
  codes[block + (step >> 1) * 64 + place]! |= (code & 15) << (4 * (step & 1))
  codes[block + 128 + place]! |= (code >> 4) << (2 * step)
}

/** Scale of the group and factor of the block of weight (o, k). */
export function putScale(
  scales: Data,
  factors: Data,
  o: number,
  k: number,
  K: number,
  scale: number,
  factor: number
): void {
  scales[blockOf(o, k, K) * 16 + (o & 15)] = scale
  factors[((o >> 4) * (K >> 8) + (k >> 8)) * 16 + (o & 15)] = factor
}

/** d · s of the group of weight (o, k). */
const scaleOf = (scales: Data, factors: Data, o: number, k: number, K: number): number =>
  fround(factors[((o >> 4) * (K >> 8) + (k >> 8)) * 16 + (o & 15)]! * scales[blockOf(o, k, K) * 16 + (o & 15)]!)

export const fineMatmulQ6_K = op({
  name: 'fineMatmulQ6_K',
  inputs: ['q', 'scale', 'sum', 'codes', 's', 'd'],
  outputs: ['y'],
  attributes: { N: 'int', O: 'int', K: 'int' },
  infer: ([q], { O, K }) => ({ N: q.shape[0], O, K }),
  operands: a => ({
    inputs: [
      i8(a.N, 2, a.K),
      f32(a.N),
      i32(a.N, over(a.K, 16)),
      codesShape(a.O, a.K),
      scalesShape(a.O, a.K),
      factorsShape(a.O, a.K)
    ],
    outputs: [f32(a.N, a.O)]
  }),
  run: ([q, scale, sum, codes, s, d], [y], { N, O, K }) => {
    for (let o = 0; o < O; o++) {
      const row = Uint8Array.from({ length: K }, (_, k) => codeOf(codes, o, k, K))
      for (let n = 0; n < N; n++) {
        let acc = 0
        for (let k0 = 0; k0 < K; k0 += 16) {
          let whole = -32 * sum[(n * K + k0) >> 4]!
          for (let k = k0; k < k0 + 16; k++) whole += row[k]! * (128 * q[2 * n * K + k]! + q[(2 * n + 1) * K + k]!)
          acc = fma32(scaleOf(s, d, o, k0, K), whole, acc)
        }
        y[n * O + o] = acc * scale[n]!
      }
    }
  }
})

export const fineRowsQ6_K = op({
  name: 'fineRowsQ6_K',
  inputs: ['codes', 's', 'd', 'ids'],
  outputs: ['y'],
  attributes: { N: 'int', O: 'int', K: 'int' },
  infer: ([, , , ids], { O, K }) => ({ N: ids.shape[0], O, K }),
  operands: a => ({
    inputs: [codesShape(a.O, a.K), scalesShape(a.O, a.K), factorsShape(a.O, a.K), i32(a.N)],
    outputs: [f32(a.N, a.K)]
  }),
  check: ([, , , ids], { O }) => indexProblem('ids', ids, 0, O),
  run: ([codes, s, d, ids], [y], { N, K }) => {
    for (let n = 0; n < N; n++) {
      const o = ids[n]
      for (let k = 0; k < K; k++) y[n * K + k] = scaleOf(s, d, o!, k, K) * (codeOf(codes, o!, k, K) - 32)
    }
  }
})

/** Bytes of a Q6_K block: 128 of low nibbles, 64 of upper bits, 16 scales, one f16 (ggml-common.h, block_q6_K). */
const BLOCK = 210

export const fineRepackQ6_K = op({
  name: 'fineRepackQ6_K',
  inputs: ['raw'],
  outputs: ['codes', 's', 'd'],
  attributes: { O: 'int', K: 'int' },
  infer: (_, { O, K }) => ({ O, K }),
  operands: a => ({
    inputs: [u8(a.O, over(a.K, 256) * BLOCK)],
    outputs: [codesShape(a.O, a.K), scalesShape(a.O, a.K), factorsShape(a.O, a.K)]
  }),
  check: ([raw], { O, K }) => {
    for (let b = 0; b < (O * K) / 256; b++)
      if ((raw[b * BLOCK + 209]! & 0x7c) === 0x7c) return `the factor of block ${b} is not a finite number`
    return null
  },
  run: ([raw], [codes, s, d], { O, K }) => {
    codes.fill(0)
    s.fill(0)
    d.fill(0)
    for (let o = 0; o < O; o++) {
      for (let k = 0; k < K; k++) {
        const block = ((o * K + k) >> 8) * BLOCK
        const within = k & 255
        const half = within >> 7
        const quarter = (within >> 5) & 3
        const l = within & 31
        const low = (raw[block + half * 64 + (quarter & 1) * 32 + l]! >> (4 * (quarter >> 1))) & 15
        const high = (raw[block + 128 + half * 32 + l]! >> (2 * quarter)) & 3
        putCode(codes, o, k, K, low | (high << 4))
        if ((k & 15) === 0) s[blockOf(o, k, K) * 16 + (o & 15)] = raw[block + 192 + (within >> 4)]!
        if (within === 0)
          d[((o >> 4) * (K >> 8) + (k >> 8)) * 16 + (o & 15)] = f16Value(raw[block + 208]! | (raw[block + 209]! << 8))
      }
    }
  }
})

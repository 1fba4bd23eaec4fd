/**
 * A head of ggml's Q8_0 over rows of 14 bits (fine.ts): w = d · (c - 128) with a code c of 8 bits and a factor d (f16)
 * for 32 weights of a row. Each group of 16 gives one integer, of at most 16 · 8191 · 128 < 2^24, and one chain of
 * fused multiply-adds joins the groups. Codes lie in blocks of 16 outputs x 16 inputs.
 */
import { fma32 } from '../lib/float.ts'
import { f16Value } from '../lib/half.ts'
import { indexProblem } from './columns.ts'
import { ceilDiv, f16, f32, i32, i8, op, u8, type Value } from './op.ts'
import type { Dim } from './sizes.ts'

const over = (a: Dim, b: number): number => (typeof a === 'number' && a % b === 0 ? a / b : NaN)
const codesShape = (O: Dim, K: Dim): Value => u8(ceilDiv(O, 16), over(K, 32) * 2, 256)
const factorsShape = (O: Dim, K: Dim): Value => f16(ceilDiv(O, 16), over(K, 32), 16)

/** Where the code of weight (o, k) is. */
const codeAt = (o: number, k: number, K: number): number =>
  ((o >> 4) * (K >> 4) + (k >> 4)) * 256 + ((k & 15) >> 2) * 64 + (o & 15) * 4 + (k & 3)

/** Where the factor of weight (o, k) is. */
const factorAt = (o: number, k: number, K: number): number => ((o >> 4) * (K >> 5) + (k >> 5)) * 16 + (o & 15)

export const fineMatmulQ8_0 = op({
  name: 'fineMatmulQ8_0',
  inputs: ['q', 'scale', 'sum', 'codes', 'd'],
  outputs: ['y'],
  attributes: { N: 'int', O: 'int', K: 'int' },
  infer: ([q], { O, K }) => ({ N: q.shape[0], O, K }),
  operands: a => ({
    inputs: [i8(a.N, 2, a.K), f32(a.N), i32(a.N, over(a.K, 16)), codesShape(a.O, a.K), factorsShape(a.O, a.K)],
    outputs: [f32(a.N, a.O)]
  }),
  run: ([q, scale, sum, codes, d], [y], { N, O, K }) => {
    for (let o = 0; o < O; o++) {
      const row = Uint8Array.from({ length: K }, (_, k) => codes[codeAt(o, k, K)]!)
      for (let n = 0; n < N; n++) {
        let acc = 0
        for (let k0 = 0; k0 < K; k0 += 16) {
          let whole = -128 * sum[(n * K + k0) >> 4]!
          for (let k = k0; k < k0 + 16; k++) whole += row[k]! * (128 * q[2 * n * K + k]! + q[(2 * n + 1) * K + k]!)
          acc = fma32(f16Value(d[factorAt(o, k0, K)]!), Math.fround(whole | 0), acc)
        }
        y[n * O + o] = acc * scale[n]!
      }
    }
  }
})

export const fineRowsQ8_0 = op({
  name: 'fineRowsQ8_0',
  inputs: ['codes', 'd', 'ids'],
  outputs: ['y'],
  attributes: { N: 'int', O: 'int', K: 'int' },
  infer: ([, , ids], { O, K }) => ({ N: ids.shape[0], O, K }),
  operands: a => ({ inputs: [codesShape(a.O, a.K), factorsShape(a.O, a.K), i32(a.N)], outputs: [f32(a.N, a.K)] }),
  check: ([, , ids], { O }) => indexProblem('ids', ids, 0, O),
  run: ([codes, d, ids], [y], { N, K }) => {
    for (let n = 0; n < N; n++) {
      const o = ids[n]
      for (let k = 0; k < K; k++) y[n * K + k] = f16Value(d[factorAt(o!, k, K)]!) * (codes[codeAt(o!, k, K)]! - 128)
    }
  }
})

/** Bytes of a Q8_0 block: one f16, 32 signed codes (ggml-common.h, block_q8_0). */
const BLOCK = 34

export const fineRepackQ8_0 = op({
  name: 'fineRepackQ8_0',
  inputs: ['raw'],
  outputs: ['codes', 'd'],
  attributes: { O: 'int', K: 'int' },
  infer: (_, { O, K }) => ({ O, K }),
  operands: a => ({
    inputs: [u8(a.O, over(a.K, 32) * BLOCK)],
    outputs: [codesShape(a.O, a.K), factorsShape(a.O, a.K)]
  }),
  check: ([raw], { O, K }) => {
    for (let b = 0; b < (O * K) / 32; b++)
      if ((raw[b * BLOCK + 1]! & 0x7c) === 0x7c) return `the factor of block ${b} is not a finite number`
    return null
  },
  run: ([raw], [codes, d], { O, K }) => {
    codes.fill(0)
    d.fill(0)
    for (let o = 0; o < O; o++) {
      for (let k = 0; k < K; k++) {
        const block = ((o * K + k) >> 5) * BLOCK
        codes[codeAt(o, k, K)] = raw[block + 2 + (k & 31)]! ^ 0x80
        if ((k & 31) === 0) d[factorAt(o, k, K)] = raw[block]! | (raw[block + 1]! << 8)
      }
    }
  }
})

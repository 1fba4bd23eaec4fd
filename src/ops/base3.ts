/**
 * Ternary weights, five per byte, for machines that unpack them by table faster than memory delivers them: a fifth less
 * to read than at two bits. The product equals ternaryMatmul's to the bit; only the position of the codes differs. A
 * byte contains the codes c0 … c4 (trit + 1) of weights k, k+4, …, k+16 as c0 + 3 c1 + 9 c2 + 27 c3 + 82 c4: with 82
 * instead of 81, the upper seven bits determine the last code.
 */
import { roundUp } from '../lib/float.ts'
import { ceilDiv, f32, i32, i8, op, u8, up16, type Data, type Value } from './op.ts'
import type { Dim } from './sizes.ts'
import { ternaryProduct } from './ternary.ts'

export const base3Shape = (O: Dim, K: Dim): Value => u8(ceilDiv(O, 16), ceilDiv(K, 20), 16, 4)

/** Bytes of a matrix. */
export const base3Bytes = (O: number, K: number): number => Math.ceil(O / 16) * Math.ceil(K / 20) * 64

const WORTH = [1, 3, 9, 27, 82] as const

/** The byte of weight (o, k), and which of its five codes it is. */
const placeOf = (o: number, k: number, K: number): [byte: number, digit: number] => [
  (((o >> 4) * Math.ceil(K / 20) + Math.floor(k / 20)) * 16 + (o & 15)) * 4 + (k & 3),
  Math.floor((k % 20) / 4)
]

/** Writes the code of weight (o, k), into bits that are still 0. */
export function putBase3(t: Data, o: number, k: number, K: number, code: number): void {
  const [byte, digit] = placeOf(o, k, K)
  t[byte]! += WORTH[digit]! * code
}

/** The byte of five codes, each 0, 1 or 2. */
export const base3Byte = (codes: readonly number[]): number => codes.reduce((sum, code, i) => sum + WORTH[i]! * code, 0)

/** Code `digit` of a byte. */
export function base3Code(byte: number, digit: number): number {
  const last = Math.min(2, Math.floor(byte / 82))
  return digit === 4 ? last : Math.floor((byte - 82 * last) / WORTH[digit]!) % 3
}

export const ternaryMatmulBase3 = op({
  name: 'ternaryMatmulBase3',
  inputs: ['q', 'scale', 'sum', 't', 'm'],
  outputs: ['y'],
  attributes: { N: 'int', O: 'int', K: 'int' },
  infer: ([q], { O, K }) => ({ N: q.shape[0], O, K }),
  operands: a => ({
    inputs: [i8(a.N, up16(a.K)), f32(a.N), i32(a.N), base3Shape(a.O, a.K), f32(1)],
    outputs: [f32(a.N, a.O)]
  }),
  run: ([q, scale, , t, m], [y], { N, O, K }) =>
    ternaryProduct(q, scale, m, y, { N, O, K, K16: roundUp(K, 16) }, (o, k) => {
      const [byte, digit] = placeOf(o, k, K)
      return base3Code(t[byte]!, digit) - 1
    })
})

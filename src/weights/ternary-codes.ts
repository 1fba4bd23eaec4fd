/**
 * Ternary codes as `ternaryMatmul` reads them (docs/internals/arithmetic.md, ternarize): two bits each, blocks of 16
 * rows x 16 columns.
 */
import type { Plan } from '../exec/plan.ts'
import { singleOp } from './single-op.ts'

/** Bytes of the codes of a matrix. */
export const codeBytes = (out: number, inputs: number): number => Math.ceil(out / 16) * Math.ceil(inputs / 16) * 64

/** Place of weight (o, k) in the codes: the byte, and how far its two bits are shifted. */
const placeOf = (o: number, k: number, blocks: number): [byte: number, shift: number] => [
  (((o >> 4) * blocks + (k >> 4)) * 16 + (o & 15)) * 4 + (k & 3),
  2 * ((k & 15) >> 2)
]

/** Codes -> trits -1, 0, 1, row-major [out, inputs]. */
export function unpackCodes(codes: Uint8Array, out: number, inputs: number): Int8Array {
  const trits = new Int8Array(out * inputs)
  const blocks = Math.ceil(inputs / 16)
  for (let o = 0; o < out; o++) {
    for (let k = 0; k < inputs; k++) {
      const [byte, shift] = placeOf(o, k, blocks)
      trits[o * inputs + k] = ((codes[byte]! >> shift) & 3) - 1
    }
  }
  return trits
}

/** Trits -> codes, whose padding holds code 1 (zero), into `codes` of `codeBytes` bytes. */
export function packCodes(trits: Int8Array, out: number, inputs: number, codes: Uint8Array): void {
  codes.fill(0b01010101)
  const blocks = Math.ceil(inputs / 16)
  for (let o = 0; o < out; o++) {
    for (let k = 0; k < inputs; k++) {
      const [byte, shift] = placeOf(o, k, blocks)
      codes[byte] = (codes[byte]! & ~(3 << shift)) | ((trits[o * inputs + k]! + 1) << shift)
    }
  }
}

/** Latent `values` [out, inputs] -> ternary `codes` and their `scale`. */
export function ternarizePlan(out: number, inputs: number): Plan {
  return singleOp('ternarize', {
    inputs: [{ name: 'values', dtype: 'f32', bytes: out * inputs * 4 }],
    outputs: [
      { name: 'codes', dtype: 'u8', bytes: codeBytes(out, inputs) },
      { name: 'scale', dtype: 'f32', bytes: 4 }
    ],
    attributes: { O: out, K: inputs }
  })
}

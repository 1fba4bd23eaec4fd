/**
 * float32 weights -> Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0. The bytes are those of gguf-py's `quants.py`: every step is
 * rounded to binary32 as there. Layouts: legacy-blocks.ts.
 */
import { blockEncoder, putHalf } from './encode-blocks.ts'
import type { PackBlock } from './encode-blocks.ts'

const { fround } = Math
const BLOCK = 32

/** The first weight of the largest magnitude, with its sign. */
function extreme(weights: Float32Array): number {
  let found = 0
  for (let i = 0; i < BLOCK; i++) if (Math.abs(weights[i]!) > Math.abs(found)) found = weights[i]!
  return found
}

const reciprocal = (d: number): number => (d === 0 ? 0 : fround(1 / d))

/** Codes of 4 bits and, for the types of 5 bits, the fifth bits at `fifth`. */
function putCodes(codes: Uint8Array, bytes: Uint8Array, low: number, fifth: number | undefined): void {
  for (let i = 0; i < BLOCK / 2; i++) bytes[low + i] = (codes[i]! & 15) | ((codes[i + BLOCK / 2]! & 15) << 4)
  if (fifth === undefined) return
  for (let i = 0; i < BLOCK; i++) bytes[fifth + (i >> 3)]! |= (codes[i]! >> 4) << (i & 7)
}

const codes = new Uint8Array(BLOCK)

/** @param half 8 or 16: the weight of the largest magnitude gets the code 0, and zero the code `half` */
const packSymmetric =
  (half: number, low: number, fifth?: number): PackBlock =>
  (weights, bytes) => {
    const d = fround(extreme(weights) / -half)
    if (putHalf(bytes, 0, d) === undefined) return false
    const factor = reciprocal(d)
    const most = 2 * half - 1
    for (let i = 0; i < BLOCK; i++) codes[i] = Math.min(most, Math.trunc(fround(weights[i]! * factor + (half + 0.5))))
    putCodes(codes, bytes, low, fifth)
    return true
  }

/** @param most the largest code: 15 or 31, which the largest weight gets; the smallest gets 0 */
const packWithMinimum =
  (most: number, low: number, fifth?: number): PackBlock =>
  (weights, bytes) => {
    let smallest = Infinity
    let largest = -Infinity
    for (let i = 0; i < BLOCK; i++) {
      smallest = Math.min(smallest, weights[i]!)
      largest = Math.max(largest, weights[i]!)
    }
    const d = fround(fround(largest - smallest) / most)
    if (putHalf(bytes, 0, d) === undefined || putHalf(bytes, 2, smallest) === undefined) return false
    const factor = reciprocal(d)
    for (let i = 0; i < BLOCK; i++) {
      const scaled = fround(fround(fround(weights[i]! - smallest) * factor) + 0.5)
      codes[i] = Math.min(most, Math.trunc(scaled))
    }
    putCodes(codes, bytes, low, fifth)
    return true
  }

/** Ties away from zero. */
function packQ8(weights: Float32Array, bytes: Uint8Array): boolean {
  const d = fround(Math.abs(extreme(weights)) / 127)
  if (putHalf(bytes, 0, d) === undefined) return false
  const factor = reciprocal(d)
  for (let i = 0; i < BLOCK; i++) {
    const scaled = fround(weights[i]! * factor)
    const size = Math.abs(scaled)
    const rounded = Math.floor(size) + (size - Math.floor(size) >= 0.5 ? 1 : 0)
    bytes[2 + i] = scaled < 0 ? -rounded : rounded
  }
  return true
}

export const encodeQ4_0 = blockEncoder('Q4_0', packSymmetric(8, 2))
export const encodeQ4_1 = blockEncoder('Q4_1', packWithMinimum(15, 4))
export const encodeQ5_0 = blockEncoder('Q5_0', packSymmetric(16, 6, 2))
export const encodeQ5_1 = blockEncoder('Q5_1', packWithMinimum(31, 8, 4))
export const encodeQ8_0 = blockEncoder('Q8_0', packQ8)

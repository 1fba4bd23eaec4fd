/**
 * The frame of all encoders of block types: float32 weights -> blocks. Deterministic: f64 arithmetic of +, -, ×, ÷ and
 * square roots only, in a fixed order, so that a file has the same bytes on every machine.
 */
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { f16Bits, f16Value } from '../lib/half.ts'
import { checkLength } from './weight-type.ts'

/** The largest finite binary16 number. */
export const LARGEST_HALF = 65_504

/** Packs the weights of one block into bytes that are zero. Returns whether the scales fit into the type. */
export type PackBlock = (weights: Float32Array, bytes: Uint8Array) => boolean

/** An encoder of a type, block by block. It returns which weight cannot be packed, and why. */
export const blockEncoder =
  (name: GgufTypeName, pack: PackBlock) =>
  (weights: Float32Array, raw: Uint8Array): string | undefined => {
    checkLength(name, raw, weights.length)
    const { block, bytes } = ggufTypes[name]
    for (let i = 0; i < weights.length; i++) if (!Number.isFinite(weights[i]!)) return `weight ${i} is ${weights[i]}`
    raw.fill(0)
    for (let at = 0, first = 0; first < weights.length; at += bytes, first += block) {
      const fits = pack(weights.subarray(first, first + block), raw.subarray(at, at + bytes))
      if (!fits) return `the weights from ${first} on are too large for ${name}`
    }
    return undefined
  }

/** From here to 2^53 the binary64 numbers are the integers: adding it rounds to one, of two to the even one. */
const INTEGERS = 1.5 * 2 ** 52

/** The nearest integer from `least` to `most`, ties to even. x is below 2^51. */
export function nearest(x: number, least: number, most: number): number {
  const rounded = x + INTEGERS - INTEGERS
  return rounded < least ? least : rounded > most ? most : rounded
}

/** Writes a binary16 number. Returns its value, or undefined if it is too large. */
export function putHalf(bytes: Uint8Array, at: number, value: number): number | undefined {
  if (Math.abs(value) > LARGEST_HALF) return undefined
  const bits = f16Bits(value)
  bytes[at] = bits & 255
  bytes[at + 1] = bits >> 8
  return f16Value(bits)
}

/** As `putHalf`, with the smallest binary16 number that is not below the value, which is not negative. */
export function putHalfAbove(bytes: Uint8Array, at: number, value: number): number | undefined {
  const rounded = f16Value(f16Bits(value))
  return putHalf(bytes, at, rounded < value ? f16Value(f16Bits(value) + 1) : value)
}

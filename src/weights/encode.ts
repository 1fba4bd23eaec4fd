/**
 * float32 weights -> Q8_0 and Q6_K. Deterministic: f64 arithmetic of +, -, x and / only, codes rounded to the nearest,
 * ties to even. The scale that is stored is the scale that codes are made with. Layouts: legacy-blocks.ts,
 * super-blocks.ts.
 */
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { ggufTypes } from '../formats/gguf-types.ts'
import { f16Bits, f16Value } from '../lib/half.ts'
import { q6KPlace } from './q6-k-place.ts'
import { checkLength } from './weight-type.ts'

const GROUP = 16
const LARGEST_HALF = 65_504

type PackBlock = (weights: Float32Array, bytes: Uint8Array) => boolean

/** Packs block by block. @returns which weight cannot be packed, and why */
function encodeBlocks(name: GgufTypeName, pack: PackBlock, weights: Float32Array, raw: Uint8Array): string | undefined {
  checkLength(name, raw, weights.length)
  const { block, bytes } = ggufTypes[name]
  const bad = weights.findIndex(w => !Number.isFinite(w))
  if (bad >= 0) return `weight ${bad} is ${weights[bad]}`
  raw.fill(0)
  for (let at = 0, first = 0; first < weights.length; at += bytes, first += block) {
    const fits = pack(weights.subarray(first, first + block), raw.subarray(at, at + bytes))
    if (!fits) return `the weights from ${first} on are too large for ${name}`
  }
  return undefined
}

/**
 * Each weight is at most half the block's scale away, and the scale at most 2^-10 or 2^-24 above 1/127 of the largest
 * magnitude.
 */
export const encodeQ8_0 = (weights: Float32Array, raw: Uint8Array): string | undefined =>
  encodeBlocks('Q8_0', packQ8, weights, raw)

/** Each weight is at most 1/16 of the block's largest magnitude away, or 2^-19. */
export const encodeQ6K = (weights: Float32Array, raw: Uint8Array): string | undefined =>
  encodeBlocks('Q6_K', packQ6, weights, raw)

/** From here to 2^53 the binary64 numbers are the integers: adding it rounds to one, of two to the even one. */
const INTEGERS = 1.5 * 2 ** 52

/** The nearest integer from `least` to `most`, ties to even. x is below 2^51. */
function nearest(x: number, least: number, most: number): number {
  const rounded = x + INTEGERS - INTEGERS
  return rounded < least ? least : rounded > most ? most : rounded
}

/** The bits of the smallest binary16 number that is not below x. */
function halfAbove(x: number): number {
  const bits = f16Bits(x)
  return f16Value(bits) < x ? bits + 1 : bits
}

const largest = (weights: Float32Array): number => weights.reduce((most, w) => Math.max(most, Math.abs(w)), 0)

function packQ8(weights: Float32Array, bytes: Uint8Array): boolean {
  const exact = largest(weights) / 127
  if (exact > LARGEST_HALF) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const bits = halfAbove(exact)
  const d = f16Value(bits)
  view.setUint16(0, bits, true)
  if (d > 0) weights.forEach((w, i) => view.setInt8(2 + i, nearest(w / d, -127, 127)))
  return true
}

function packQ6(weights: Float32Array, bytes: Uint8Array): boolean {
  const scales = Array.from({ length: 256 / GROUP }, (_, g) => groupScale(weights.subarray(g * GROUP, (g + 1) * GROUP)))
  const exact = scales.reduce((most, s) => Math.max(most, Math.abs(s)), 0) / 127
  if (exact > LARGEST_HALF) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const bits = halfAbove(exact)
  const d = f16Value(bits)
  view.setUint16(208, bits, true)
  for (let g = 0; g < scales.length; g++) {
    const s = d > 0 ? nearest(scales[g]! / d, -127, 127) : 0
    view.setInt8(192 + g, s)
    for (let i = g * GROUP; i < (g + 1) * GROUP; i++) {
      const code = (s === 0 ? 0 : nearest(weights[i]! / (d * s), -32, 31)) + 32
      const { low, lowShift, high, highShift } = q6KPlace(i)
      bytes[low]! |= (code & 15) << lowShift
      bytes[128 + high]! |= (code >> 4) << highShift
    }
  }
  return true
}

/** Sizes that the largest weight of a group may take in codes: all are tried. */
const EXTREMES = [-32, -31, -33, -30, -34, -29]

/**
 * The scale with the least square error for a group's codes. Codes go from -32 to 31: with the right sign, the largest
 * weight is at the longer end. Ties: the first.
 */
function groupScale(weights: Float32Array): number {
  let extreme = 0
  for (const w of weights) if (Math.abs(w) > Math.abs(extreme)) extreme = w
  if (extreme === 0) return 0
  let best = 0
  let least = Infinity
  for (const end of EXTREMES) {
    const scale = extreme / end
    let wq = 0
    let qq = 0
    for (const w of weights) {
      const q = nearest(w / scale, -32, 31)
      wq += w * q
      qq += q * q
    }
    const fitted = wq / qq // the scale that is best for these codes
    let error = 0
    for (const w of weights) {
      const rest = w - fitted * nearest(w / fitted, -32, 31)
      error += rest * rest
    }
    if (error < least) {
      best = fitted
      least = error
    }
  }
  return best
}

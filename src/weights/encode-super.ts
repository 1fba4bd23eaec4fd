/**
 * float32 weights -> Q2_K, Q3_K, Q4_K, Q5_K and Q6_K. Each group gets the scale, and the minimum if the type has one,
 * of the least weighted square error (fit.ts); these are rounded to the few bits of the type, and the codes are chosen
 * for the rounded ones. Layouts: super-blocks.ts.
 */
import { LARGEST_HALF, blockEncoder, nearest, putHalf, putHalfAbove } from './encode-blocks.ts'
import { fitScale, fitWithMinimum, rmsPlusMagnitude } from './fit.ts'
import type { Fit, Grid, Importance } from './fit.ts'
import { q6KPlace } from './q6-k-place.ts'

const SIZE = 256
const codes = new Uint8Array(SIZE)
const scales = new Float64Array(16)
const minimums = new Float64Array(16)
const scaleCodes = new Uint8Array(16)
const minimumCodes = new Uint8Array(16)
const fit: Fit = { scale: 0, minimum: 0 }

interface WithMinimum {
  /** Weights a group. */
  readonly group: number
  /** Largest code of a weight. */
  readonly most: number
  /** Largest code of a scale and of a minimum. */
  readonly largest: number
  readonly grid: Grid
  readonly weigh: Importance
  /** Bytes of the two binary16 numbers. */
  readonly dAt: number
  readonly dminAt: number
}

const largestOf = (values: Float64Array, count: number): number => {
  let most = 0
  for (let g = 0; g < count; g++) most = Math.max(most, values[g]!)
  return most
}

const importance = new Float64Array(32)

/** The weighted square error of a group with a scale and a minimum. */
function errorOf(weights: Float32Array, from: number, t: WithMinimum, scale: number, minimum: number): number {
  const factor = scale > 0 ? 1 / scale : 0
  let error = 0
  for (let i = 0; i < t.group; i++) {
    const x = weights[from + i]! + minimum
    const rest = x - scale * nearest(x * factor, 0, t.most)
    error += importance[i]! * rest * rest
  }
  return error
}

function putCodes(weights: Float32Array, from: number, t: WithMinimum, scale: number, minimum: number): void {
  const factor = scale > 0 ? 1 / scale : 0
  for (let i = from; i < from + t.group; i++) codes[i] = nearest((weights[i]! + minimum) * factor, 0, t.most)
}

/**
 * A fitted scale may be beyond binary16 although a smaller one covers the range of every group: then the largest number
 * serves.
 */
function withinHalf(d: number, weights: Float32Array, t: WithMinimum): number {
  if (d <= LARGEST_HALF) return d
  let widest = 0
  for (let from = 0; from < SIZE; from += t.group) {
    let low = 0
    let high = 0
    for (let i = from; i < from + t.group; i++) {
      low = Math.min(low, weights[i]!)
      high = Math.max(high, weights[i]!)
    }
    widest = Math.max(widest, high - low)
  }
  return widest <= LARGEST_HALF * t.largest * t.most ? LARGEST_HALF : d
}

/** Codes of scale and minimum to try around the rounded ones: rounding each alone is not the best pair. */
const NEIGHBOURS = [
  [0, 0],
  [1, 0],
  [-1, 0],
  [0, 1],
  [0, -1],
  [1, 1],
  [-1, -1]
] as const

/** Fills `codes`, `scaleCodes` and `minimumCodes`, and writes d and dmin. */
function quantise(weights: Float32Array, bytes: Uint8Array, t: WithMinimum): boolean {
  const groups = SIZE / t.group
  for (let g = 0; g < groups; g++) {
    fitWithMinimum(weights, g * t.group, t.group, t.most, t.grid, t.weigh, fit)
    scales[g] = fit.scale
    minimums[g] = fit.minimum
  }
  const d = putHalf(bytes, t.dAt, withinHalf(largestOf(scales, groups) / t.largest, weights, t))
  const dmin = putHalf(bytes, t.dminAt, largestOf(minimums, groups) / t.largest)
  if (d === undefined || dmin === undefined) return false
  for (let g = 0; g < groups; g++) {
    const from = g * t.group
    t.weigh(weights, from, t.group, importance)
    const s = d > 0 ? nearest(scales[g]! / d, 0, t.largest) : 0
    const m = dmin > 0 ? nearest(minimums[g]! / dmin, 0, t.largest) : 0
    let least = Infinity
    for (const [ds, dm] of NEIGHBOURS) {
      const [i, j] = [s + ds, m + dm]
      if (i < 0 || j < 0 || i > t.largest || j > t.largest) continue
      const error = errorOf(weights, from, t, d * i, dmin * j)
      if (!(error < least)) continue
      least = error
      scaleCodes[g] = i
      minimumCodes[g] = j
    }
    putCodes(weights, from, t, d * scaleCodes[g]!, dmin * minimumCodes[g]!)
  }
  return true
}

const Q2: WithMinimum = {
  group: 16,
  most: 3,
  largest: 15,
  grid: { first: -0.5, step: 0.1, steps: 15 },
  weigh: rmsPlusMagnitude,
  dAt: 80,
  dminAt: 82
}
const Q4: WithMinimum = {
  group: 32,
  most: 15,
  largest: 63,
  grid: { first: -1, step: 0.1, steps: 20 },
  weigh: rmsPlusMagnitude,
  dAt: 0,
  dminAt: 2
}
const Q5: WithMinimum = { ...Q4, most: 31, grid: { first: -0.5, step: 0.1, steps: 15 } }

/** The two low bits of every code, from byte `at` on: as in Q2_K and Q3_K. */
function putTwoBits(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < SIZE; i++) {
    const half = i >> 7
    bytes[at + 32 * half + (i & 31)]! |= (codes[i]! & 3) << (2 * ((i >> 5) & 3))
  }
}

function packQ2(weights: Float32Array, bytes: Uint8Array): boolean {
  if (!quantise(weights, bytes, Q2)) return false
  for (let g = 0; g < 16; g++) bytes[g] = scaleCodes[g]! | (minimumCodes[g]! << 4)
  putTwoBits(bytes, 16)
  return true
}

/** Scales and minimums of 6 bits, 8 of each in 12 bytes. */
function putSixBits(bytes: Uint8Array, at: number): void {
  for (let g = 0; g < 4; g++) {
    bytes[at + g] = scaleCodes[g]! | ((scaleCodes[g + 4]! >> 4) << 6)
    bytes[at + 4 + g] = minimumCodes[g]! | ((minimumCodes[g + 4]! >> 4) << 6)
    bytes[at + 8 + g] = (scaleCodes[g + 4]! & 15) | ((minimumCodes[g + 4]! & 15) << 4)
  }
}

/** The four low bits of every code: weights 64k + i in the low half of byte 32k + i, the next 32 in the high half. */
function putFourBits(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < SIZE; i++) bytes[at + 32 * (i >> 6) + (i & 31)]! |= (codes[i]! & 15) << (4 * ((i >> 5) & 1))
}

function packQ4(weights: Float32Array, bytes: Uint8Array): boolean {
  if (!quantise(weights, bytes, Q4)) return false
  putSixBits(bytes, 4)
  putFourBits(bytes, 16)
  return true
}

function packQ5(weights: Float32Array, bytes: Uint8Array): boolean {
  if (!quantise(weights, bytes, Q5)) return false
  putSixBits(bytes, 4)
  for (let i = 0; i < SIZE; i++) bytes[16 + (i & 31)]! |= (codes[i]! >> 4) << (i >> 5)
  putFourBits(bytes, 48)
  return true
}

/** Sizes that the largest weight of a group may take in the codes of Q3_K and Q6_K. */
const Q3_ENDS = [-4, -3.9, -4.1, -3.8, -4.2, -3.7, -4.3, -3.6, -4.4, -3.5, -4.5, -3.4, -3.3, -3.2, -3.1, -3]
const Q6_ENDS = [-32, -31, -33, -30, -34, -29]

/** The group scale of the largest magnitude, with its sign. */
function extremeScale(groups: number): number {
  let found = 0
  for (let g = 0; g < groups; g++) if (Math.abs(scales[g]!) > Math.abs(found)) found = scales[g]!
  return found
}

function packQ3(weights: Float32Array, bytes: Uint8Array): boolean {
  for (let g = 0; g < 16; g++) scales[g] = fitScale(weights, g * 16, 16, 4, Q3_ENDS, rmsPlusMagnitude)
  const d = putHalf(bytes, 108, extremeScale(16) / -32)
  if (d === undefined) return false
  for (let g = 0; g < 16; g++) {
    const s = d === 0 ? 0 : nearest(scales[g]! / d, -32, 31)
    const stored = s + 32
    bytes[96 + (g & 7)]! |= (stored & 15) << (g < 8 ? 0 : 4)
    bytes[104 + (g & 3)]! |= (stored >> 4) << (2 * (g >> 2))
    for (let i = g * 16; i < (g + 1) * 16; i++) codes[i] = 4 + (s === 0 ? 0 : nearest(weights[i]! / (d * s), -4, 3))
  }
  for (let i = 0; i < SIZE; i++) bytes[i & 31]! |= (codes[i]! >> 2) << (i >> 5)
  putTwoBits(bytes, 32)
  return true
}

function packQ6(weights: Float32Array, bytes: Uint8Array): boolean {
  for (let g = 0; g < 16; g++) scales[g] = fitScale(weights, g * 16, 16, 32, Q6_ENDS, rmsPlusMagnitude)
  const d = putHalfAbove(bytes, 208, Math.abs(extremeScale(16)) / 127)
  if (d === undefined) return false
  for (let g = 0; g < 16; g++) {
    const s = d > 0 ? nearest(scales[g]! / d, -127, 127) : 0
    bytes[192 + g] = s
    for (let i = g * 16; i < (g + 1) * 16; i++) {
      const code = (s === 0 ? 0 : nearest(weights[i]! / (d * s), -32, 31)) + 32
      const { low, lowShift, high, highShift } = q6Places[i]!
      bytes[low]! |= (code & 15) << lowShift
      bytes[128 + high]! |= (code >> 4) << highShift
    }
  }
  return true
}

const q6Places = Array.from({ length: SIZE }, (_, i) => q6KPlace(i))

export const encodeQ2K = blockEncoder('Q2_K', packQ2)
export const encodeQ3K = blockEncoder('Q3_K', packQ3)
export const encodeQ4K = blockEncoder('Q4_K', packQ4)
export const encodeQ5K = blockEncoder('Q5_K', packQ5)
export const encodeQ6K = blockEncoder('Q6_K', packQ6)

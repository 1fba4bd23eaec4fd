/**
 * Random bytes of the kinds that weights are kept in, fast and of no other merit: for models whose speed is measured.
 */
import { f16Bits, f32ToBf16 } from '../lib/half.ts'
import { invariant } from '../lib/errors.ts'
import { base3Byte } from '../ops/base3.ts'

/** Unsigned 32-bit numbers. */
export type Random = () => number

/** Marsaglia's xorshift32 (Journal of Statistical Software 8 (14), 2003). @param seed a whole number from 1 */
export function xorshift(seed: number): Random {
  invariant(Number.isInteger(seed) && seed > 0, 'a seed is a whole number from 1')
  let x = seed | 0
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x >>> 0
  }
}

/** Fills the first `length` bytes with entries of a table of at most 256, two for each random number. */
export function fill(bytes: Uint8Array, length: number, table: Uint8Array, random: Random): void {
  for (let i = 0; i < length; i += 2) {
    const r = random()
    bytes[i] = table[((r & 0xffff) * table.length) >>> 16]!
    if (i + 1 < length) bytes[i + 1] = table[((r >>> 16) * table.length) >>> 16]!
  }
}

export const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i)

/** The 81 bytes of four codes, each 0, 1 or 2. */
export const ternaryCodeBytes = Uint8Array.from(
  { length: 81 },
  (_, v) => (v % 3) | ((Math.floor(v / 3) % 3) << 2) | ((Math.floor(v / 9) % 3) << 4) | (Math.floor(v / 27) << 6)
)

/** The 243 bytes of five codes (src/ops/base3.ts). */
export const base3CodeBytes = Uint8Array.from({ length: 243 }, (_, v) =>
  base3Byte([0, 1, 2, 3, 4].map(i => Math.floor(v / 3 ** i) % 3))
)

/** 4,096 near normal numbers of a deviation: sums of four uniform ones. */
function nearNormal(deviation: number, random: Random): number[] {
  const uniform = (): number => random() / 2 ** 32 - 0.5
  return Array.from({ length: 4096 }, () => deviation * Math.sqrt(3) * (uniform() + uniform() + uniform() + uniform()))
}

/** Fills with 4,096 near normal f16 numbers, drawn from at random. @param deviation default 0.02 */
export function fillHalves(halves: Uint16Array, random: Random, deviation = 0.02): void {
  const table = Uint16Array.from(nearNormal(deviation, random), f16Bits)
  for (let i = 0; i < halves.length; i++) halves[i] = table[random() & 4095]!
}

/** The same in bf16. */
export function fillBrainHalves(halves: Uint16Array, random: Random, deviation = 0.02): void {
  const table = f32ToBf16(Float32Array.from(nearNormal(deviation, random)))
  for (let i = 0; i < halves.length; i++) halves[i] = table[random() & 4095]!
}

/** The same in f32. */
export function fillFloats(values: Float32Array, random: Random, deviation = 0.02): void {
  const table = Float32Array.from(nearNormal(deviation, random))
  for (let i = 0; i < values.length; i++) values[i] = table[random() & 4095]!
}

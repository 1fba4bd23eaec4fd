/**
 * Rows of the K types: super-blocks of 256 weights in groups, each group with a small integer scale under a binary16
 * scale d, some with an integer minimum under a binary16 minimum. Layouts: docs/internals/formats.md; source: ggml's
 * `ggml-common.h` and `ggml-quants.c`. (scale of the group) x code is exact in binary32 for Q2_K, Q4_K and Q5_K.
 */
import { encodeQ2K, encodeQ3K, encodeQ4K, encodeQ5K, encodeQ6K } from './encode-super.ts'
import { q6KPlace } from './q6-k-place.ts'
import { blockType, halfAt, scaleAt } from './weight-type.ts'
import type { BlockDecoder } from './weight-type.ts'

/**
 * 16 bytes (scale in the low half, minimum in the high half, one a group of 16), 64 bytes of 2-bit codes, d, dmin.
 * Code of weight 128h + 32j + l: bits 2j and 2j + 1 of byte 32h + l. Weight (d s) q - dmin m, rounded once.
 */
const q2K: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at + 80)
  const dmin = halfAt(raw, at + 82)
  for (let group = 0; group < 16; group++) {
    const pair = raw[at + group]!
    const scale = d * (pair & 15)
    const minimum = dmin * (pair >> 4)
    const codes = at + 16 + (group >> 3) * 32 + (group & 1) * 16
    const shift = group & 6
    const to = first + group * 16
    for (let i = 0; i < 16; i++) out[to + i] = scale * ((raw[codes + i]! >> shift) & 3) - minimum
  }
}

/** Scale i of 16 in 12 bytes: the low 4 bits in a half of byte i mod 8, the high 2 in byte 8 + i mod 4. */
const q3Scale = (raw: Uint8Array, at: number, i: number): number =>
  (((raw[at + (i & 7)]! >> (i < 8 ? 0 : 4)) & 15) | (((raw[at + 8 + (i & 3)]! >> (2 * (i >> 2))) & 3) << 4)) - 32

/**
 * 32 bytes of third bits, 64 bytes of low bits as in Q2_K, 12 bytes of 6-bit scales, d. The third bit of weight
 * 128h + 32j + l is bit 4h + j of byte l; where it is 0 the code is less by 4. Weight (d (s - 32)) q, exact.
 */
const q3K: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at + 108)
  for (let group = 0; group < 16; group++) {
    const scale = d * q3Scale(raw, at + 96, group)
    const column = (group & 1) * 16
    const high = at + column
    const third = group >> 1
    const low = at + 32 + (group >> 3) * 32 + column
    const shift = group & 6
    const to = first + group * 16
    for (let i = 0; i < 16; i++) {
      const code = ((raw[low + i]! >> shift) & 3) | (((raw[high + i]! >> third) & 1) << 2)
      out[to + i] = scale * (code - 4)
    }
  }
}

/** Scale of group g below 4: low 6 bits of byte g. Of others: low half of byte 4 + g, then top 2 bits of byte g - 4. */
const q4Scale = (raw: Uint8Array, at: number, g: number): number =>
  g < 4 ? raw[at + g]! & 63 : (raw[at + 4 + g]! & 15) | ((raw[at + g - 4]! >> 6) << 4)

/** Minimum of group g below 4: low 6 bits of byte 4 + g. Of others: high half of byte 4 + g, top 2 bits of byte g. */
const q4Minimum = (raw: Uint8Array, at: number, g: number): number =>
  g < 4 ? raw[at + 4 + g]! & 63 : (raw[at + 4 + g]! >> 4) | ((raw[at + g]! >> 6) << 4)

/**
 * 8 groups of 32: d, dmin, 12 bytes with a 6-bit scale s and minimum m a group, 128 bytes of codes: weights 64k + i in
 * the low half of byte 32k + i, weights 64k + 32 + i in the high half. Weight (d s) q - dmin m, rounded once.
 */
const q4K: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  const dmin = halfAt(raw, at + 2)
  for (let group = 0; group < 8; group++) {
    const scale = d * q4Scale(raw, at + 4, group)
    const minimum = dmin * q4Minimum(raw, at + 4, group)
    const codes = at + 16 + (group >> 1) * 32
    const shift = (group & 1) * 4
    const to = first + group * 32
    for (let i = 0; i < 32; i++) out[to + i] = scale * ((raw[codes + i]! >> shift) & 15) - minimum
  }
}

/** As Q4_K, with 32 bytes of fifth bits before the codes: bit g of byte i for weight i of group g. */
const q5K: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  const dmin = halfAt(raw, at + 2)
  const high = at + 16
  for (let group = 0; group < 8; group++) {
    const scale = d * q4Scale(raw, at + 4, group)
    const minimum = dmin * q4Minimum(raw, at + 4, group)
    const low = at + 48 + (group >> 1) * 32
    const shift = (group & 1) * 4
    const to = first + group * 32
    for (let i = 0; i < 32; i++) {
      const code = ((raw[low + i]! >> shift) & 15) | (((raw[high + i]! >> group) & 1) << 4)
      out[to + i] = scale * code - minimum
    }
  }
}

/**
 * 128 bytes with the low 4 bits of the codes, 64 bytes with the high 2 (`q6KPlace`), 16 signed bytes of scales s, d.
 * Weight (d s) (q - 32): d s is exact, the product with the code is rounded once.
 */
const q6K: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at + 208)
  for (let group = 0; group < 16; group++) {
    const scale = d * ((raw[at + 192 + group]! << 24) >> 24)
    const { low, lowShift, high, highShift } = groupPlaces[group]!
    const lows = at + low
    const highs = at + 128 + high
    const to = first + group * 16
    for (let i = 0; i < 16; i++) {
      const code = ((raw[lows + i]! >> lowShift) & 15) | (((raw[highs + i]! >> highShift) & 3) << 4)
      out[to + i] = scale * (code - 32)
    }
  }
}

const groupPlaces = Array.from({ length: 16 }, (_, group) => q6KPlace(16 * group))

const minimumAt = (at: number) => ({ at, name: 'minimum' }) as const

export const superBlocks = {
  Q2_K: blockType('Q2_K', [scaleAt(80), minimumAt(82)], q2K, encodeQ2K),
  Q3_K: blockType('Q3_K', [scaleAt(108)], q3K, encodeQ3K),
  Q4_K: blockType('Q4_K', [scaleAt(0), minimumAt(2)], q4K, encodeQ4K),
  Q5_K: blockType('Q5_K', [scaleAt(0), minimumAt(2)], q5K, encodeQ5K),
  Q6_K: blockType('Q6_K', [scaleAt(208)], q6K, encodeQ6K)
}

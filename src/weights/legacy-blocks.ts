/**
 * Rows of the types with 32 weights a block and a binary16 scale d, some with a minimum m. Layouts:
 * docs/internals/formats.md; source: ggml's `ggml-common.h` and `ggml-quants.c`. Codes of 4 bits lie in 16 bytes: code
 * i in the low half of byte i, code 16 + i in the high half.
 */
import { encodeQ4_0, encodeQ4_1, encodeQ5_0, encodeQ5_1, encodeQ8_0 } from './encode-legacy.ts'
import { blockType, halfAt, scaleAt } from './weight-type.ts'
import type { BlockDecoder } from './weight-type.ts'

/** d, codes. Weight d (q - 8), exact. */
const q4_0: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  for (let i = 0; i < 16; i++) {
    const byte = raw[at + 2 + i]!
    out[first + i] = d * ((byte & 15) - 8)
    out[first + 16 + i] = d * ((byte >> 4) - 8)
  }
}

/** d, m, codes. Weight d q + m: the product is exact, the sum is rounded. */
const q4_1: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  const m = halfAt(raw, at + 2)
  for (let i = 0; i < 16; i++) {
    const byte = raw[at + 4 + i]!
    out[first + i] = d * (byte & 15) + m
    out[first + 16 + i] = d * (byte >> 4) + m
  }
}

/** The fifth bits of a block's codes: bit i of code i. */
const fifthBits = (raw: Uint8Array, at: number): number =>
  raw[at]! | (raw[at + 1]! << 8) | (raw[at + 2]! << 16) | (raw[at + 3]! << 24)

/** d, fifth bits, codes. Weight d (q - 16), exact. */
const q5_0: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  const fifth = fifthBits(raw, at + 2)
  for (let i = 0; i < 16; i++) {
    const byte = raw[at + 6 + i]!
    out[first + i] = d * (((byte & 15) | (((fifth >>> i) & 1) << 4)) - 16)
    out[first + 16 + i] = d * (((byte >> 4) | (((fifth >>> (16 + i)) & 1) << 4)) - 16)
  }
}

/** d, m, fifth bits, codes. Weight d q + m: the product is exact, the sum is rounded. */
const q5_1: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  const m = halfAt(raw, at + 2)
  const fifth = fifthBits(raw, at + 4)
  for (let i = 0; i < 16; i++) {
    const byte = raw[at + 8 + i]!
    out[first + i] = d * ((byte & 15) | (((fifth >>> i) & 1) << 4)) + m
    out[first + 16 + i] = d * ((byte >> 4) | (((fifth >>> (16 + i)) & 1) << 4)) + m
  }
}

/** d, then 32 signed bytes q. Weight d q, exact. */
const q8_0: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  for (let i = 0; i < 32; i++) out[first + i] = d * ((raw[at + 2 + i]! << 24) >> 24)
}

const scaleAndMinimum = [scaleAt(0), { at: 2, name: 'minimum' }] as const

export const legacyBlocks = {
  Q4_0: blockType('Q4_0', [scaleAt(0)], q4_0, encodeQ4_0),
  Q4_1: blockType('Q4_1', scaleAndMinimum, q4_1, encodeQ4_1),
  Q5_0: blockType('Q5_0', [scaleAt(0)], q5_0, encodeQ5_0),
  Q5_1: blockType('Q5_1', scaleAndMinimum, q5_1, encodeQ5_1),
  Q8_0: blockType('Q8_0', [scaleAt(0)], q8_0, encodeQ8_0)
}

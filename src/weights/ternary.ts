/**
 * Rows of the ternary types: I2_S (microsoft/BitNet), TQ2_0 and TQ1_0 (ggml). Layouts: docs/internals/formats.md;
 * sources: `ggml-bitnet-mad.cpp` for I2_S in its 128-weight form, `ggml-common.h` and `ggml-quants.c` for the others.
 * `decode` reads codes that no writer makes as those sources do; `decodeWeights` and `decodeTernary` refuse them.
 */
import { ggufTypes } from '../formats/gguf-types.ts'
import { invariant } from '../lib/errors.ts'
import { f16Bits } from '../lib/half.ts'
import { POWERS, i2sCode, packFive, tq1Byte, tq1Code, tq1Place, tq2Code } from '../lib/ternary-codes.ts'
import { blockFault, blockType, checkLength, halfAt, scaleAt } from './weight-type.ts'
import type { BlockDecoder, TernaryLayout, WeightType } from './weight-type.ts'

/** Bytes 32h + l hold weights 128h + 32j + l in bits 2j and 2j + 1; d at the end. Weight d (q - 1), exact. */
const tq2: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at + 64)
  for (let i = 0; i < 256; i++) {
    out[first + i] = d * (((raw[at + ((i >> 7) << 5) + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3) - 1)
  }
}

/** Powers of 3 that bring the trit of a place to the top of its byte. */
const LIFT = [1, 3, 9, 27, 81] as const

/** 52 bytes of five trits each (`tq1Byte`, `tq1Place`), d. Weight d (q - 1), exact. */
const tq1: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at + 52)
  for (let i = 0; i < 256; i++) {
    const lifted = (raw[at + tq1Byte[i]!]! * LIFT[tq1Place[i]!]!) & 255
    out[first + i] = d * (((lifted * 3) >> 8) - 1)
  }
}

/** Scales in the last two bytes of each block. */
const halfScales = (name: 'TQ1_0' | 'TQ2_0'): Pick<TernaryLayout, 'scales' | 'putScales'> => {
  const { bytes } = ggufTypes[name]
  return {
    scales: raw => Float32Array.from({ length: raw.length / bytes }, (_, b) => halfAt(raw, (b + 1) * bytes - 2)),
    putScales(scales, raw) {
      scales.forEach((scale, b) => {
        const half = f16Bits(scale)
        const at = (b + 1) * bytes - 2
        invariant((half & 0x7fff) < 0x7c00, 'a scale is within the range of binary16')
        raw[at] = half & 255
        raw[at + 1] = half >> 8
      })
    }
  }
}

function packTq2(trits: Int8Array, raw: Uint8Array): void {
  for (let i = 0; i < trits.length; i++) {
    raw[(i >> 8) * 66 + ((i >> 7) & 1) * 32 + (i & 31)]! |= (trits[i]! + 1) << (2 * ((i >> 5) & 3))
  }
}

function packTq1(trits: Int8Array, raw: Uint8Array): void {
  for (let first = 0, at = 0; first < trits.length; first += 256, at += 54) {
    const values = new Uint8Array(52)
    for (let i = 0; i < 256; i++) values[tq1Byte[i]!]! += (trits[first + i]! + 1) * POWERS[tq1Place[i]!]!
    for (let j = 0; j < 52; j++) raw[at + j] = packFive(values[j]!)
  }
}

/** The view of an I2_S tensor's one scale, binary32 after the codes; 28 bytes without meaning follow it. */
function i2sScale(raw: Uint8Array): DataView {
  const { bytes, tail = 0 } = ggufTypes.I2_S
  invariant(raw.length >= tail && (raw.length - tail) % bytes === 0, `${raw.length} bytes are no tensor of I2_S`)
  return new DataView(raw.buffer, raw.byteOffset + raw.length - tail, 4)
}

function packI2s(trits: Int8Array, raw: Uint8Array): void {
  for (let i = 0; i < trits.length; i++) {
    const within = i & 127
    raw[(i >> 7) * 32 + (within & 31)]! |= (trits[i]! + 1) << (6 - 2 * (within >> 5))
  }
}

/** Blocks run through the whole tensor without regard to rows. Weight d (q - 1) with one d, exact. */
const i2s: WeightType = {
  name: 'I2_S',
  block: ggufTypes.I2_S.block,
  bytes: ggufTypes.I2_S.bytes,
  tail: ggufTypes.I2_S.tail ?? 0,
  decode(raw, out) {
    checkLength('I2_S', raw, out.length)
    const d = i2sScale(raw).getFloat32(0, true)
    for (let i = 0; i < out.length; i++) out[i] = d * (i2sCode(raw, i) - 1)
  },
  scaleFault(raw) {
    const scale = i2sScale(raw).getFloat32(0, true)
    return Number.isFinite(scale) ? undefined : blockFault('I2_S', 'scale', 0, scale)
  },
  ternary: {
    code: i2sCode,
    pack: packI2s,
    scales: raw => Float32Array.of(i2sScale(raw).getFloat32(0, true)),
    putScales: (scales, raw) => i2sScale(raw).setFloat32(0, scales[0]!, true)
  }
}

export const ternaryTypes = {
  I2_S: i2s,
  TQ1_0: {
    ...blockType('TQ1_0', [scaleAt(52)], tq1),
    ternary: { code: tq1Code, pack: packTq1, ...halfScales('TQ1_0') }
  },
  TQ2_0: {
    ...blockType('TQ2_0', [scaleAt(64)], tq2),
    ternary: { code: tq2Code, pack: packTq2, ...halfScales('TQ2_0') }
  }
}

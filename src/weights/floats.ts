/** Rows of the floating-point types: a block is one weight, and there is no scale. */
import { ggufTypes } from '../formats/gguf-types.ts'
import { f16Bits, f16ToF32Bits } from '../lib/half.ts'
import { checkLength, wholeBlocks } from './weight-type.ts'
import type { WeightType } from './weight-type.ts'

type FloatName = 'F32' | 'F16' | 'BF16'

/** The binary32 bits of the weight at a byte. */
const bitsAt = {
  F32: (raw: Uint8Array, at: number) => raw[at]! | (raw[at + 1]! << 8) | (raw[at + 2]! << 16) | (raw[at + 3]! << 24),
  F16: (raw: Uint8Array, at: number) => f16ToF32Bits(raw[at]! | (raw[at + 1]! << 8)),
  BF16: (raw: Uint8Array, at: number) => (raw[at]! << 16) | (raw[at + 1]! << 24),
}

/** All exponent bits of the weight at a byte are set: it is infinite or NaN. */
const isOdd = {
  F32: (raw: Uint8Array, at: number) => (raw[at + 3]! & 0x7f) === 0x7f && (raw[at + 2]! & 0x80) !== 0,
  F16: (raw: Uint8Array, at: number) => (raw[at + 1]! & 0x7c) === 0x7c,
  BF16: (raw: Uint8Array, at: number) => (raw[at + 1]! & 0x7f) === 0x7f && (raw[at]! & 0x80) !== 0,
}

function floatType(name: FloatName, encode?: WeightType['encode']): WeightType {
  const { block, bytes } = ggufTypes[name], bits = bitsAt[name], odd = isOdd[name]
  return {
    name,
    block,
    bytes,
    tail: 0,
    decode(raw, out) {
      checkLength(name, raw, out.length)
      // Bits, not numbers: a NaN keeps its payload.
      const to = new Uint32Array(out.buffer, out.byteOffset, out.length)
      for (let i = 0; i < to.length; i++) to[i] = bits(raw, i * bytes)
    },
    scaleFault(raw) {
      const weights = wholeBlocks(name, raw)
      for (let i = 0; i < weights; i++) {
        if (!odd(raw, i * bytes)) continue
        const value = new Float32Array(1)
        new Uint32Array(value.buffer)[0] = bits(raw, i * bytes)
        return `weight ${i} is ${value[0]}`
      }
      return undefined
    },
    ...(encode === undefined ? {} : { encode }),
  }
}

function encodeF32(values: Float32Array, raw: Uint8Array): string | undefined {
  checkLength('F32', raw, values.length)
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length)
  for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i]!, true)
  return floats.F32.scaleFault(raw)
}

/** Rounds to the nearest, ties to even. Values from 65520 on become infinite, which is a fault. */
function encodeF16(values: Float32Array, raw: Uint8Array): string | undefined {
  checkLength('F16', raw, values.length)
  for (let i = 0; i < values.length; i++) {
    const half = f16Bits(values[i]!)
    raw[2 * i] = half & 255
    raw[2 * i + 1] = half >> 8
  }
  return floats.F16.scaleFault(raw)
}

export const floats = {
  F32: floatType('F32', encodeF32),
  F16: floatType('F16', encodeF16),
  BF16: floatType('BF16'),
}

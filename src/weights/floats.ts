/** Rows of the floating-point types: a block is one weight without a scale. */
import { ggufTypes } from '../formats/gguf-types.ts'
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../lib/half.ts'
import { checkLength, wholeBlocks } from './weight-type.ts'
import type { WeightType } from './weight-type.ts'

/** Bits of weights whose bytes may begin anywhere: typed arrays only begin at multiples of their element. */
function halfBits(raw: Uint8Array): Uint16Array {
  const { buffer, byteOffset } = raw.byteOffset % 2 === 0 ? raw : raw.slice()
  return new Uint16Array(buffer, byteOffset, raw.length / 2)
}

function floatBits(raw: Uint8Array): Uint32Array {
  const { buffer, byteOffset } = raw.byteOffset % 4 === 0 ? raw : raw.slice()
  return new Uint32Array(buffer, byteOffset, raw.length / 4)
}

/** The first pattern with all exponent bits set, which means infinity or NaN; -1 if there is none. */
function firstOdd(bits: Uint16Array | Uint32Array, exponent: number): number {
  for (let i = 0; i < bits.length; i++) if ((bits[i]! & exponent) === exponent) return i
  return -1
}

/** @param exponent the bits of the exponent in one element of what `bits` returns */
function floatType<Bits extends Uint16Array | Uint32Array>(
  name: 'F32' | 'F16' | 'BF16',
  bits: (raw: Uint8Array) => Bits,
  exponent: number,
  convert: (bits: Bits, out: Float32Array) => void,
  write: (values: Float32Array, raw: Uint8Array) => void
): WeightType {
  const { block, bytes } = ggufTypes[name]
  const scaleFault = (raw: Uint8Array): string | undefined => {
    wholeBlocks(name, raw)
    const all = bits(raw)
    const i = firstOdd(all, exponent)
    if (i < 0) return undefined
    const value = new Float32Array(1)
    convert(all.subarray(i, i + 1) as Bits, value)
    return `weight ${i} is ${value[0]}`
  }
  const encode = (values: Float32Array, raw: Uint8Array): string | undefined => {
    checkLength(name, raw, values.length)
    write(values, raw)
    return scaleFault(raw)
  }
  return {
    name,
    block,
    bytes,
    tail: 0,
    decode(raw, out) {
      checkLength(name, raw, out.length)
      convert(bits(raw), out)
    },
    scaleFault,
    encode
  }
}

const bytesOf = (a: Float32Array | Uint16Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)

/** Copies bits, not numbers, so that a NaN keeps its payload. */
function copyBits(bits: Uint32Array, out: Float32Array): void {
  new Uint32Array(out.buffer, out.byteOffset, out.length).set(bits)
}

export const floats = {
  F32: floatType('F32', floatBits, 0x7f800000, copyBits, (values, raw) => raw.set(bytesOf(values))),
  // Both round to nearest, ties to even. Values beyond the range become infinite, which is an error.
  F16: floatType('F16', halfBits, 0x7c00, f16ToF32, (values, raw) => raw.set(bytesOf(f32ToF16(values)))),
  BF16: floatType('BF16', halfBits, 0x7f80, bf16ToF32, (values, raw) => raw.set(bytesOf(f32ToBf16(values))))
}

/**
 * binary16 and bfloat16 <-> binary32, on arrays of bit patterns, in integer arithmetic only: round to nearest, ties to
 * even; subnormals, infinities and NaN kept (a NaN keeps its top payload bits and never turns into an infinity).
 */

const one = new Float32Array(1)
const oneBits = new Uint32Array(one.buffer)

function f16ToF32Bits(h: number): number {
  const sign = (h & 0x8000) << 16
  const exponent = (h >>> 10) & 31
  const fraction = h & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13)
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  if (fraction === 0) return sign
  const shift = Math.clz32(fraction) - 21 // brings the top bit of a subnormal to bit 10
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)
}

/** Shifts right by 1..31 bits, rounding to nearest even. */
function roundShift(x: number, shift: number): number {
  const quotient = x >>> shift
  const rest = x & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return rest > half || (rest === half && (quotient & 1) === 1) ? quotient + 1 : quotient
}

function f32ToF16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff)
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // 65520 and above round to infinity
  if (magnitude >= 0x38800000) return sign | roundShift(magnitude - 0x38000000, 13)
  const exponent = magnitude >>> 23
  if (exponent < 102) return sign // below 2^-25
  return sign | roundShift((magnitude & 0x7fffff) | 0x800000, 126 - exponent)
}

function f32ToBf16Bits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return roundShift(bits, 16)
}

const bitsOf = (a: Float32Array): Uint32Array => new Uint32Array(a.buffer, a.byteOffset, a.length)

/** binary16 bit patterns -> values. Exact. */
export function f16ToF32(source: Uint16Array, target: Float32Array = new Float32Array(source.length)): Float32Array {
  const out = bitsOf(target)
  for (let i = 0; i < source.length; i++) out[i] = f16ToF32Bits(source[i]!)
  return target
}

/** Values -> binary16 bit patterns; 65520 and above become infinity. */
export function f32ToF16(source: Float32Array, target = new Uint16Array(source.length)): Uint16Array {
  const bits = bitsOf(source)
  for (let i = 0; i < bits.length; i++) target[i] = f32ToF16Bits(bits[i]!)
  return target
}

/** bfloat16 bit patterns -> values. Exact. */
export function bf16ToF32(source: Uint16Array, target: Float32Array = new Float32Array(source.length)): Float32Array {
  const out = bitsOf(target)
  for (let i = 0; i < source.length; i++) out[i] = source[i]! << 16
  return target
}

/** Values -> bfloat16 bit patterns. */
export function f32ToBf16(source: Float32Array, target = new Uint16Array(source.length)): Uint16Array {
  const bits = bitsOf(source)
  for (let i = 0; i < bits.length; i++) target[i] = f32ToBf16Bits(bits[i]!)
  return target
}

/** One binary16 bit pattern -> its value. */
export function f16Value(bits: number): number {
  oneBits[0] = f16ToF32Bits(bits)
  return one[0]!
}

/** One bfloat16 bit pattern -> its value. */
export function bf16Value(bits: number): number {
  oneBits[0] = bits << 16
  return one[0]!
}

/** One number, rounded to binary32 first -> its binary16 bit pattern. */
export function f16Bits(value: number): number {
  one[0] = value
  return f32ToF16Bits(oneBits[0]!)
}

/**
 * Weights as GGUF packs them -> float32, for embeddings and heads: F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K. The reference that kernels are compared with: f32
 * arithmetic in the order that is written here. Layouts as in docs/formats.md; source: ggml's `ggml-common.h` and `ggml-quants.c`. Scales, and values that
 * have none, must be finite. All scalars are little-endian.
 */
import { VeritError, invariant } from '../lib/errors.ts'
import { bf16ToF32, f16ToF32, f16Value } from '../lib/half.ts'
import { printable } from '../lib/printable.ts'
import { ggufTypes } from './gguf-types.ts'

export type WeightType = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_K' | 'Q6_K'

type Block = (view: DataView, at: number, out: Float32Array, first: number) => void

const f32 = Math.fround

/** 32 weights: binary16 d, then 32 signed bytes q. Weight d q, exact. */
const q8_0: Block = (view, at, out, first) => {
  const d = f16Value(view.getUint16(at, true))
  for (let i = 0; i < 32; i++) out[first + i] = d * view.getInt8(at + 2 + i)
}

/** 32 weights: binary16 d, then 16 bytes: weight i in the low half of byte i, weight 16 + i in the high half. Weight d (q - 8), exact. */
const q4_0: Block = (view, at, out, first) => {
  const d = f16Value(view.getUint16(at, true))
  for (let i = 0; i < 16; i++) {
    const byte = view.getUint8(at + 2 + i)
    out[first + i] = d * ((byte & 15) - 8)
    out[first + 16 + i] = d * ((byte >> 4) - 8)
  }
}

/**
 * 256 weights in 8 groups of 32: binary16 d and m, 12 bytes with a 6-bit scale s and offset o for each group, 128 bytes: weights 64k + i in the low half of byte
 * 32k + i, weights 64k + 32 + i in the high half. Weight (d s) q - (m o): the products are exact in f32, the difference is rounded once.
 */
const q4K: Block = (view, at, out, first) => {
  const d = f16Value(view.getUint16(at, true)), m = f16Value(view.getUint16(at + 2, true))
  for (let group = 0; group < 8; group++) {
    const scale = d * q4KScale(view, at + 4, group), offset = m * q4KOffset(view, at + 4, group)
    const bytes = at + 16 + (group >> 1) * 32, shift = (group & 1) * 4, to = first + group * 32
    for (let i = 0; i < 32; i++) out[to + i] = scale * ((view.getUint8(bytes + i) >> shift) & 15) - offset
  }
}

/** Groups 0 to 3: the low 6 bits of byte g. Groups 4 to 7: the low half of byte 4 + g, and above it the top 2 bits of byte g - 4. */
const q4KScale = (view: DataView, at: number, g: number): number =>
  g < 4 ? view.getUint8(at + g) & 63 : (view.getUint8(at + 4 + g) & 15) | ((view.getUint8(at + g - 4) >> 6) << 4)

/** Groups 0 to 3: the low 6 bits of byte 4 + g. Groups 4 to 7: the high half of byte 4 + g, and above it the top 2 bits of byte g. */
const q4KOffset = (view: DataView, at: number, g: number): number =>
  g < 4 ? view.getUint8(at + 4 + g) & 63 : (view.getUint8(at + 4 + g) >> 4) | ((view.getUint8(at + g) >> 6) << 4)

/**
 * 256 weights in 16 groups of 16: 128 bytes with the low 4 bits of the codes, 64 bytes with the high 2, 16 signed bytes of scales s, binary16 d. Weight
 * (d s) (q - 32): d s is exact in f32, the product with the code is rounded once.
 */
const q6K: Block = (view, at, out, first) => {
  const d = f16Value(view.getUint16(at + 208, true))
  for (let group = 0; group < 16; group++) {
    const scale = d * view.getInt8(at + 192 + group)
    for (let i = group * 16; i < group * 16 + 16; i++) out[first + i] = f32(scale * (q6KCode(view, at, i) - 32))
  }
}

/** Where the code of weight i of a Q6_K block stands: the byte and shift of its low 4 bits, and of its high 2 (from the block's byte 128 on). */
export function q6KPlace(i: number): { low: number; lowShift: number; high: number; highShift: number } {
  const half = i >> 7, quarter = (i >> 5) & 3, column = i & 31
  return { low: half * 64 + (quarter & 1) * 32 + column, lowShift: (quarter >> 1) * 4, high: half * 32 + column, highShift: quarter * 2 }
}

const places = Array.from({ length: 256 }, (_, i) => q6KPlace(i))

function q6KCode(view: DataView, at: number, i: number): number {
  const { low, lowShift, high, highShift } = places[i]!
  return ((view.getUint8(at + low) >> lowShift) & 15) | (((view.getUint8(at + 128 + high) >> highShift) & 3) << 4)
}

/** Reader of a block, and where its binary16 scales stand. */
const blocks: Readonly<Record<Exclude<WeightType, 'F32' | 'F16' | 'BF16'>, { read: Block; scales: readonly number[] }>> = {
  Q8_0: { read: q8_0, scales: [0] }, Q4_0: { read: q4_0, scales: [0] }, Q4_K: { read: q4K, scales: [0, 2] }, Q6_K: { read: q6K, scales: [208] },
}

/**
 * Unpacks `target.length` weights, which must be a whole number of blocks, from just the bytes they take: a tensor, or rows of it.
 * @param name of the tensor, for errors
 * @throws VeritError VERIT_TENSOR for a scale or a value that is not finite
 */
export function decodeWeights(type: WeightType, bytes: Uint8Array, target: Float32Array<ArrayBuffer>, name: string): Float32Array<ArrayBuffer> {
  const { block, bytes: size } = ggufTypes[type]
  invariant(target.length % block === 0 && bytes.length === (target.length / block) * size, `${bytes.length} bytes for ${target.length} weights of ${type}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (type === 'F32' || type === 'F16' || type === 'BF16') {
    readFloats(type, view, target)
    const bad = target.findIndex(w => !Number.isFinite(w))
    if (bad >= 0) refuse(name, `weight ${bad} is ${target[bad]}`)
    return target
  }
  const { read, scales } = blocks[type]
  for (let at = 0, first = 0; first < target.length; at += size, first += block) {
    for (const place of scales) {
      const scale = f16Value(view.getUint16(at + place, true))
      if (!Number.isFinite(scale)) refuse(name, `the scale of the block at weight ${first} is ${scale}`)
    }
    read(view, at, target, first)
  }
  return target
}

function readFloats(type: 'F32' | 'F16' | 'BF16', view: DataView, target: Float32Array<ArrayBuffer>): void {
  if (type === 'F32') for (let i = 0; i < target.length; i++) target[i] = view.getFloat32(4 * i, true)
  else {
    const bits = Uint16Array.from({ length: target.length }, (_, i) => view.getUint16(2 * i, true))
    if (type === 'F16') f16ToF32(bits, target)
    else bf16ToF32(bits, target)
  }
}

function refuse(name: string, problem: string): never {
  throw new VeritError('VERIT_TENSOR', { tensor: printable(name), problem })
}

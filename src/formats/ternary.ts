/**
 * Ternary tensors packed as I2_S (microsoft/BitNet), TQ2_0 and TQ1_0 (ggml) <-> trits -1, 0, 1 and their scales. Layouts as in docs/formats.md;
 * sources: `ggml-bitnet-mad.cpp` for I2_S in its 128-weight form, `ggml-common.h` and `ggml-quants.c` for the others.
 * A weight is trit x scale. Decoding refuses codes that no writer makes and scales that are no finite number.
 */
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { f16Bits, f16Value } from '../lib/half.ts'
import { POWERS, i2sCode, packFive, tq1Byte, tq1Code, tq1Place, tq2Code } from '../lib/ternary-codes.ts'

export interface TernaryTensor {
  /** One of -1, 0, 1 for each weight, row-major. */
  trits: Int8Array
  /** Scale of each block of `block` weights, in order; one scale when the whole tensor is one block. */
  scales: Float32Array
  /** Weights that share a scale: 256, or all of them for I2_S. */
  block: number
}

export type TernaryType = 'I2_S' | 'TQ1_0' | 'TQ2_0'

/**
 * Unpacks a tensor. `bytes` must have the length that the type and the number of weights need; `name` is for errors.
 * Weights in a whole number of blocks: 128 for I2_S, 256 for the others.
 */
export function decodeTernary(type: TernaryType, bytes: Uint8Array, weights: number, name: string): TernaryTensor {
  invariant(bytes.length === ternaryBytes(type, weights), `${name} has ${bytes.length} bytes for ${weights} weights of ${type}`)
  const trits = new Int8Array(weights)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const code = type === 'I2_S' ? i2sCode : type === 'TQ1_0' ? tq1Code : tq2Code
  for (let i = 0; i < weights; i++) {
    const c = code(bytes, i)
    if (c === 3) reserved(name, i)
    trits[i] = c - 1
  }
  if (type === 'I2_S') {
    return { trits, scales: Float32Array.of(finite(view.getFloat32(weights / 4, true), name, 0)), block: weights }
  }
  const size = type === 'TQ1_0' ? 54 : 66
  const scales = new Float32Array(weights / 256)
  for (let b = 0; b < scales.length; b++) {
    scales[b] = finite(f16Value(view.getUint16((b + 1) * size - 2, true)), name, b * 256)
  }
  return { trits, scales, block: 256 }
}

/**
 * Packs a tensor. I2_S takes one scale (float32, kept exactly); the others take one for all blocks or one a block, rounded to binary16.
 * The same trits and scales give the same bytes.
 */
export function encodeTernary(type: TernaryType, trits: Int8Array, scales: Float32Array): Uint8Array {
  const bytes = new Uint8Array(ternaryBytes(type, trits.length))
  const view = new DataView(bytes.buffer)
  invariant(trits.every(t => t >= -1 && t <= 1), 'a trit is -1, 0 or 1')
  invariant(scales.every(Number.isFinite), 'a scale is finite')
  if (type === 'I2_S') {
    invariant(scales.length === 1, 'I2_S has one scale')
    encodeI2s(trits, bytes)
    view.setFloat32(trits.length / 4, scales[0]!, true)
    return bytes
  }
  const size = type === 'TQ1_0' ? 54 : 66
  const blocks = trits.length / 256
  invariant(scales.length === 1 || scales.length === blocks, `${type} has one scale for all blocks, or one a block`)
  for (let b = 0; b < blocks; b++) {
    const codes = trits.subarray(b * 256, (b + 1) * 256)
    const packed = bytes.subarray(b * size, (b + 1) * size)
    if (type === 'TQ1_0') encodeTq1(codes, packed)
    else encodeTq2(codes, packed)
    const half = f16Bits(scales.length === 1 ? scales[0]! : scales[b]!)
    invariant((half & 0x7fff) < 0x7c00, 'a scale is within the range of binary16')
    view.setUint16((b + 1) * size - 2, half, true)
  }
  return bytes
}

/** Bytes of a tensor of so many weights; an internal error when they do not fill whole blocks. */
export function ternaryBytes(type: TernaryType, weights: number): number {
  const block = type === 'I2_S' ? 128 : 256
  invariant(Number.isSafeInteger(weights) && weights > 0 && weights % block === 0, `${type} packs ${block} weights a block`)
  return type === 'I2_S' ? weights / 4 + 32 : (weights / 256) * (type === 'TQ1_0' ? 54 : 66)
}

function finite(scale: number, name: string, weight: number): number {
  if (!Number.isFinite(scale)) throw new VeritError('VERIT_TENSOR', { tensor: printable(name), problem: `the scale of the block at weight ${weight} is ${scale}` })
  return scale
}

function reserved(name: string, weight: number): never {
  throw new VeritError('VERIT_TENSOR', { tensor: printable(name), problem: `weight ${weight} has a reserved code, which no ternary value packs to` })
}

function encodeI2s(trits: Int8Array, bytes: Uint8Array): void {
  for (let i = 0; i < trits.length; i++) {
    const within = i & 127
    bytes[(i >> 7) * 32 + (within & 31)]! |= (trits[i]! + 1) << (6 - 2 * (within >> 5))
  }
}

function encodeTq2(trits: Int8Array, packed: Uint8Array): void {
  for (let i = 0; i < 256; i++) packed[(i >> 7) * 32 + (i & 31)]! |= (trits[i]! + 1) << (2 * ((i >> 5) & 3))
}

function encodeTq1(trits: Int8Array, packed: Uint8Array): void {
  const values = new Uint8Array(52)
  for (let i = 0; i < 256; i++) values[tq1Byte[i]!]! += (trits[i]! + 1) * POWERS[tq1Place[i]!]!
  for (let j = 0; j < 52; j++) packed[j] = packFive(values[j]!)
}

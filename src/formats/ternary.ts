/**
 * Ternary tensors packed as I2_S (microsoft/BitNet), TQ2_0 and TQ1_0 (ggml) <-> trits -1, 0, 1 and their scales. Layouts as in docs/formats.md;
 * sources: `ggml-bitnet-mad.cpp` for I2_S in its 128-weight form, `ggml-common.h` and `ggml-quants.c` for the others.
 * A weight is trit x scale. Decoding refuses codes that no writer makes and scales that are no finite number.
 */
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { f16Bits, f16Value } from './half.ts'

export interface TernaryTensor {
  /** One of -1, 0, 1 for each weight, row-major. */
  trits: Int8Array
  /** Scale of each block of `block` weights, in order; one scale when the whole tensor is one block. */
  scales: Float32Array
  /** Weights that share a scale: 256, or all of them for I2_S. */
  block: number
}

export type TernaryType = 'I2_S' | 'TQ1_0' | 'TQ2_0'

const POWERS = [81, 27, 9, 3, 1] as const

/** Base-3 byte of ggml: five trits, the first the most significant, as ceil(v * 256 / 243). */
const packFive = (v: number): number => Math.floor((v * 256 + 242) / 243)

/** The five codes 0..2 of each of the 256 bytes, 5 entries a byte; 3 throughout for the 13 bytes that no value packs to. */
const unpackedFive = ((): Uint8Array => {
  const table = new Uint8Array(256 * 5).fill(3)
  for (let v = 0; v < 243; v++) POWERS.forEach((power, n) => void (table[packFive(v) * 5 + n] = Math.floor(v / power) % 3))
  return table
})()

/**
 * Unpacks a tensor. `bytes` must have the length that the type and the number of weights need; `name` is for errors.
 * Weights in a whole number of blocks: 128 for I2_S, 256 for the others.
 */
export function decodeTernary(type: TernaryType, bytes: Uint8Array, weights: number, name: string): TernaryTensor {
  invariant(bytes.length === ternaryBytes(type, weights), `${name} has ${bytes.length} bytes for ${weights} weights of ${type}`)
  const trits = new Int8Array(weights)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (type === 'I2_S') {
    decodeI2s(bytes, trits, name)
    return { trits, scales: Float32Array.of(finite(view.getFloat32(weights / 4, true), name, 0)), block: weights }
  }
  const size = type === 'TQ1_0' ? 54 : 66
  const scales = new Float32Array(weights / 256)
  for (let b = 0; b < scales.length; b++) {
    const packed = bytes.subarray(b * size, (b + 1) * size)
    if (type === 'TQ1_0') decodeTq1(packed, trits, b * 256, name)
    else decodeTq2(packed, trits, b * 256, name)
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

/** Byte j of a 32-byte block holds weights j, 32+j, 64+j, 96+j of 128, the first in the top two bits; a code is trit + 1. */
function decodeI2s(bytes: Uint8Array, trits: Int8Array, name: string): void {
  for (let i = 0; i < trits.length; i++) {
    const within = i & 127
    const code = (bytes[(i >> 7) * 32 + (within & 31)]! >> (6 - 2 * (within >> 5))) & 3
    if (code === 3) reserved(name, i)
    trits[i] = code - 1
  }
}

function encodeI2s(trits: Int8Array, bytes: Uint8Array): void {
  for (let i = 0; i < trits.length; i++) {
    const within = i & 127
    bytes[(i >> 7) * 32 + (within & 31)]! |= (trits[i]! + 1) << (6 - 2 * (within >> 5))
  }
}

/** Byte j+m (j = 0 or 32, m = 0..31) holds weights 4j+m, 4j+32+m, 4j+64+m, 4j+96+m, the first in the lowest two bits. */
function decodeTq2(packed: Uint8Array, trits: Int8Array, start: number, name: string): void {
  for (let i = 0; i < 256; i++) {
    const code = (packed[(i >> 7) * 32 + (i & 31)]! >> (2 * ((i >> 5) & 3))) & 3
    if (code === 3) reserved(name, start + i)
    trits[start + i] = code - 1
  }
}

function encodeTq2(trits: Int8Array, packed: Uint8Array): void {
  for (let i = 0; i < 256; i++) packed[(i >> 7) * 32 + (i & 31)]! |= (trits[i]! + 1) << (2 * ((i >> 5) & 3))
}

/** Byte and place (0..4) in a TQ1_0 block of each of its 256 weights: 160 in bytes 0..31, 80 in 32..47, 16 in 48..51 with four each. */
const tq1Byte = Uint8Array.from({ length: 256 }, (_, i) => (i < 160 ? i % 32 : i < 240 ? 32 + ((i - 160) % 16) : 48 + ((i - 240) % 4)))
const tq1Place = Uint8Array.from({ length: 256 }, (_, i) => (i < 160 ? Math.floor(i / 32) : i < 240 ? Math.floor((i - 160) / 16) : Math.floor((i - 240) / 4)))

function decodeTq1(packed: Uint8Array, trits: Int8Array, start: number, name: string): void {
  for (let i = 0; i < 256; i++) {
    const code = unpackedFive[packed[tq1Byte[i]!]! * 5 + tq1Place[i]!]!
    if (code === 3) reserved(name, start + i)
    trits[start + i] = code - 1
  }
  for (let j = 48; j < 52; j++) if (unpackedFive[packed[j]! * 5 + 4] !== 0) reserved(name, start + 192 + j) // the fifth place is empty there
}

function encodeTq1(trits: Int8Array, packed: Uint8Array): void {
  const values = new Uint8Array(52)
  for (let i = 0; i < 256; i++) values[tq1Byte[i]!]! += (trits[i]! + 1) * POWERS[tq1Place[i]!]!
  for (let j = 0; j < 52; j++) packed[j] = packFive(values[j]!)
}

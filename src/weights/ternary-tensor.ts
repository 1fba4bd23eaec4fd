/** Ternary tensors <-> trits and their scales. Reserved codes and scales that are not finite are refused. */
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { TernaryTypeName } from './registry.ts'
import { ternaryTypes } from './ternary.ts'
import { checkLength, weightBytes } from './weight-type.ts'
import type { WeightType } from './weight-type.ts'

export interface TernaryTensor {
  /** One of -1, 0, 1 for each weight, row-major. */
  trits: Int8Array
  /** Scale of each block of `block` weights, in order; one scale when the whole tensor is one block. */
  scales: Float32Array
  /** Weights that share a scale: 256, or all of them for I2_S. */
  block: number
}

/**
 * Unpacks a tensor of a whole number of blocks from exactly its bytes.
 * @param name of the tensor, for errors
 * @throws VeritError VERIT_TENSOR for a reserved code and for a scale that is not finite
 */
export function decodeTernary(type: TernaryTypeName, raw: Uint8Array, weights: number, name: string): TernaryTensor {
  checkLength(type, raw, weights)
  const row = ternaryTypes[type]
  const fault = reservedCode(row, raw, weights) ?? row.scaleFault(raw)
  if (fault !== undefined) throw new VeritError('VERIT_TENSOR', { tensor: printable(name), problem: fault })
  const { code, scales: read } = row.ternary!
  const trits = new Int8Array(weights)
  const scales = read(raw)
  for (let i = 0; i < weights; i++) trits[i] = code(raw, i) - 1
  return { trits, scales, block: weights / scales.length }
}

/**
 * Packs a tensor. I2_S takes one scale (binary32, kept exactly); the others take one for all blocks or one a block,
 * rounded to binary16. The same trits and scales give the same bytes.
 */
export function encodeTernary(type: TernaryTypeName, trits: Int8Array, scales: Float32Array): Uint8Array {
  const raw = new Uint8Array(ternaryBytes(type, trits.length))
  const { pack, putScales } = ternaryTypes[type].ternary!
  invariant(
    trits.every(t => t >= -1 && t <= 1),
    'a trit is -1, 0 or 1'
  )
  invariant(scales.every(Number.isFinite), 'a scale is finite')
  const count = type === 'I2_S' ? 1 : trits.length / ternaryTypes[type].block
  invariant(scales.length === 1 || scales.length === count, `${type} has one scale for all blocks, or one a block`)
  pack(trits, raw)
  putScales(scales.length === count ? scales : new Float32Array(count).fill(scales[0]!), raw)
  return raw
}

/** Bytes of a tensor of this many weights; an internal error if they are not whole blocks. */
export function ternaryBytes(type: TernaryTypeName, weights: number): number {
  invariant(weights > 0, 'a tensor has weights')
  return weightBytes(type, weights)
}

/**
 * The one scale of a packed tensor; undefined if its blocks have several, or if the scale is not positive and finite.
 * @param raw the bytes of a tensor of `weights` weights
 */
export function readScale(type: TernaryTypeName, raw: Uint8Array, weights: number): number | undefined {
  checkLength(type, raw, weights)
  const scales = ternaryTypes[type].ternary!.scales(raw)
  const first = scales[0]!
  return scales.every(s => s === first) && first > 0 && first < Infinity ? first : undefined
}

/** The first weight of a ternary tensor whose bits no writer makes, as the end of a sentence. */
export function reservedCode(row: WeightType, raw: Uint8Array, weights: number): string | undefined {
  if (row.ternary === undefined) return undefined
  const { code } = row.ternary
  for (let i = 0; i < weights; i++) {
    if (code(raw, i) === 3) return `weight ${i} has a reserved code, which no ternary value packs to`
  }
  return undefined
}

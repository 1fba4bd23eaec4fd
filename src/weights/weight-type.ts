/**
 * One row of the registry: how a ggml type packs weights, and how Verit reads and writes it. Sizes come from
 * `ggufTypes`. Every product of a decoder is exact in binary32 or rounded once, so a fused multiply-add would give the
 * same bits.
 */
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { invariant } from '../lib/errors.ts'
import { f16Value } from '../lib/half.ts'

export interface WeightType {
  /** ggml's name of the type. */
  readonly name: GgufTypeName
  /** Weights a block. */
  readonly block: number
  /** Bytes a block. */
  readonly bytes: number
  /** Bytes after the last block of a tensor. Where it is not 0, rows cannot be read one by one. */
  readonly tail: number
  /**
   * Unpacks `out.length` weights, a whole number of blocks, from exactly the bytes that hold them. The bits are those
   * of ggml's `dequantize_row_*`, also where a scale is not finite. `raw` may start at any byte of its buffer.
   */
  decode(raw: Uint8Array, out: Float32Array): void
  /**
   * Finds the first block with a scale that is NaN, infinite, or so large that a weight may overflow; for a type
   * without scales, the first weight that is not finite. Returns a sentence's end such as "the scale of block 1, at
   * weight 32, is NaN".
   * @param raw whole blocks, with the tail
   */
  scaleFault(raw: Uint8Array): string | undefined
  /**
   * Packs a whole number of blocks into `raw`, which has exactly their bytes. Returns why the values cannot be packed,
   * as `scaleFault` does; `raw` is then undefined. Absent for types that Verit does not write.
   */
  readonly encode?: (values: Float32Array, raw: Uint8Array) => string | undefined
  /** Only for ternary types. */
  readonly ternary?: TernaryLayout
}

/** How a type packs trits: -1, 0 and 1 as the codes 0, 1 and 2. A weight is a trit times a scale. */
export interface TernaryLayout {
  /** The code of weight i, or 3 for bits that no writer makes. */
  code(raw: Uint8Array, i: number): number
  /** Writes the codes of trits into bytes that are zero. */
  pack(trits: Int8Array, raw: Uint8Array): void
  /** The scale of each block that has one, in order; I2_S has one for the whole tensor. */
  scales(raw: Uint8Array): Float32Array
  /** Writes as many scales as `scales` reads. */
  putScales(scales: Float32Array, raw: Uint8Array): void
}

/** Reads the block at byte `at` into the weights from `first` on. */
export type BlockDecoder = (raw: Uint8Array, at: number, out: Float32Array, first: number) => void

/** A binary16 number of a block, by its byte and its name in errors. */
export interface HalfPlace {
  readonly at: number
  readonly name: 'scale' | 'minimum'
}

export const scaleAt = (at: number): HalfPlace => ({ at, name: 'scale' })

/** The binary16 number at a byte. */
export const halfAt = (raw: Uint8Array, at: number): number => f16Value(raw[at]! | (raw[at + 1]! << 8))

/** Bytes of this many weights of a type; an internal error if they are not whole blocks. */
export function weightBytes(name: GgufTypeName, weights: number): number {
  const { block, bytes, tail = 0 } = ggufTypes[name]
  const whole = Number.isSafeInteger(weights) && weights >= 0 && weights % block === 0
  invariant(whole, `${name} packs ${block} weights a block`)
  return (weights / block) * bytes + tail
}

/** Refuses bytes that do not hold exactly this many weights. */
export function checkLength(name: GgufTypeName, raw: Uint8Array, weights: number): void {
  invariant(raw.length === weightBytes(name, weights), `${raw.length} bytes for ${weights} weights of ${name}`)
}

/** The number of blocks in bytes without a tail; an internal error when the last one is cut off. */
export function wholeBlocks(name: GgufTypeName, raw: Uint8Array): number {
  const { bytes } = ggufTypes[name]
  invariant(raw.length % bytes === 0, `${raw.length} bytes are no whole blocks of ${name}`)
  return raw.length / bytes
}

/** Says which block has a number that is wrong. */
export const blockFault = (name: GgufTypeName, place: string, block: number, value: number): string =>
  `the ${place} of block ${block}, at weight ${block * ggufTypes[name].block}, is ${value}`

/** A row for a type whose blocks are read one by one and hold binary16 scales. */
export function blockType(
  name: GgufTypeName,
  halves: readonly HalfPlace[],
  read: BlockDecoder,
  encode?: WeightType['encode']
): WeightType {
  const { block, bytes, tail = 0 } = ggufTypes[name]
  return {
    name,
    block,
    bytes,
    tail,
    decode(raw, out) {
      checkLength(name, raw, out.length)
      for (let at = 0, first = 0; first < out.length; at += bytes, first += block) read(raw, at, out, first)
    },
    scaleFault(raw) {
      const blocks = wholeBlocks(name, raw)
      for (let b = 0; b < blocks; b++) {
        for (const half of halves) {
          const at = b * bytes + half.at
          if ((raw[at + 1]! & 0x7c) === 0x7c) return blockFault(name, half.name, b, halfAt(raw, at))
        }
      }
      return undefined
    },
    ...(encode === undefined ? {} : { encode })
  }
}

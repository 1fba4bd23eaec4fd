/**
 * Every tensor type that GGUF may hold, by ggml's numbers, with its size. Verit computes with the types of
 * src/weights/registry.ts; it lists and copies the others. Number 36 is I2_S of microsoft/BitNet; other programs may
 * use it for something else (docs/internals/formats.md).
 */
import { invariant } from '../lib/errors.ts'
import { ggufLimits } from './gguf-limits.ts'

export interface GgufType {
  readonly id: number
  /** Weights a block. A row must hold a whole number of blocks. */
  readonly block: number
  /** Bytes a block. */
  readonly bytes: number
  /** Bytes after the last block of the tensor. */
  readonly tail?: number
  /** `general.file_type` of a file in which most matrices have the type; of types that Verit writes. */
  readonly fileType?: number
}

const table = {
  F32: { id: 0, block: 1, bytes: 4, fileType: 0 },
  F16: { id: 1, block: 1, bytes: 2, fileType: 1 },
  BF16: { id: 30, block: 1, bytes: 2, fileType: 32 },
  F64: { id: 28, block: 1, bytes: 8 },
  I8: { id: 24, block: 1, bytes: 1 },
  I16: { id: 25, block: 1, bytes: 2 },
  I32: { id: 26, block: 1, bytes: 4 },
  I64: { id: 27, block: 1, bytes: 8 },
  Q4_0: { id: 2, block: 32, bytes: 18, fileType: 2 },
  Q4_1: { id: 3, block: 32, bytes: 20, fileType: 3 },
  Q5_0: { id: 6, block: 32, bytes: 22, fileType: 8 },
  Q5_1: { id: 7, block: 32, bytes: 24, fileType: 9 },
  Q8_0: { id: 8, block: 32, bytes: 34, fileType: 7 },
  Q8_1: { id: 9, block: 32, bytes: 36 },
  Q2_K: { id: 10, block: 256, bytes: 84, fileType: 10 },
  Q3_K: { id: 11, block: 256, bytes: 110, fileType: 12 },
  Q4_K: { id: 12, block: 256, bytes: 144, fileType: 15 },
  Q5_K: { id: 13, block: 256, bytes: 176, fileType: 17 },
  Q6_K: { id: 14, block: 256, bytes: 210, fileType: 18 },
  Q8_K: { id: 15, block: 256, bytes: 292 },
  IQ4_NL: { id: 20, block: 32, bytes: 18 },
  IQ4_XS: { id: 23, block: 256, bytes: 136 },
  IQ3_XXS: { id: 18, block: 256, bytes: 98 },
  IQ3_S: { id: 21, block: 256, bytes: 110 },
  IQ2_XXS: { id: 16, block: 256, bytes: 66 },
  IQ2_XS: { id: 17, block: 256, bytes: 74 },
  IQ2_S: { id: 22, block: 256, bytes: 82 },
  IQ1_S: { id: 19, block: 256, bytes: 50 },
  IQ1_M: { id: 29, block: 256, bytes: 56 },
  MXFP4: { id: 39, block: 32, bytes: 17 },
  NVFP4: { id: 40, block: 64, bytes: 36 },
  Q1_0: { id: 41, block: 128, bytes: 18 },
  Q2_0: { id: 42, block: 64, bytes: 18 },
  TQ1_0: { id: 34, block: 256, bytes: 54, fileType: 36 },
  TQ2_0: { id: 35, block: 256, bytes: 66, fileType: 37 },
  I2_S: { id: 36, block: 128, bytes: 32, tail: 32, fileType: 40 }
} as const satisfies Record<string, GgufType>

export type GgufTypeName = keyof typeof table

export const ggufTypes: Readonly<Record<GgufTypeName, GgufType>> = table

const byId = new Map<number, GgufTypeName>(Object.entries(table).map(([name, type]) => [type.id, name as GgufTypeName]))

/** The type with a number, or undefined when Verit does not know it. */
export function ggufTypeName(id: number): GgufTypeName | undefined {
  return byId.get(id)
}

/**
 * Elements and bytes of a tensor. `ne` is in ggml's order, the contiguous dimension first; each a positive safe
 * integer. A string is the reason why there is no size.
 */
export function ggufTensorSize(
  type: GgufTypeName,
  ne: readonly number[]
): { elements: number; bytes: number } | string {
  const { block, bytes, tail = 0 } = ggufTypes[type]
  let elements = 1
  for (const n of ne) {
    invariant(Number.isSafeInteger(n) && n > 0, 'a dimension is a positive integer')
    if (n > Number.MAX_SAFE_INTEGER / elements) return `the product of the dimensions ${ne.join(' x ')} is too large`
    elements *= n
  }
  // I2_S runs through the whole tensor without regard to rows; every other type begins each row with a new block.
  const unit = type === 'I2_S' ? elements : (ne[0] ?? 1)
  if (unit % block !== 0)
    return (
      `${type} packs ${block} weights a block, which does not divide ${type === 'I2_S' ? 'its' : 'a row of'} ` +
      `${unit} weights`
    )
  const total = (elements / block) * bytes + tail
  if (total > ggufLimits.tensorBytes)
    return `its dimensions ${ne.join(' x ')} are more than the ${ggufLimits.tensorBytes} bytes allowed`
  return { elements, bytes: total }
}

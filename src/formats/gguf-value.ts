/** Metadata values of GGUF: their types by number, and short constructors for writing them. */
import { invariant } from '../lib/errors.ts'

/** Element types in the order of their numbers in the file; 9 is an array. */
export const ggufValueTypes = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'array',
  'u64',
  'i64',
  'f64'
] as const

export type GgufNumberType = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'f64'
export type GgufElementType = GgufNumberType | 'u64' | 'i64' | 'bool' | 'string'

export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array

export type GgufArray =
  | { readonly type: 'array'; readonly of: GgufNumberType; readonly value: GgufNumbers }
  | { readonly type: 'array'; readonly of: 'u64'; readonly value: BigUint64Array }
  | { readonly type: 'array'; readonly of: 'i64'; readonly value: BigInt64Array }
  | { readonly type: 'array'; readonly of: 'bool'; readonly value: readonly boolean[] }
  | { readonly type: 'array'; readonly of: 'string'; readonly value: readonly string[] }

/** A metadata value of GGUF with its type. */
export type GgufValue =
  | { readonly type: GgufNumberType; readonly value: number }
  | { readonly type: 'u64' | 'i64'; readonly value: bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | GgufArray

/** Typed array of each numeric element type; its element size is the size in the file. */
export const ggufArrays = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
  u64: BigUint64Array,
  i64: BigInt64Array
} as const

function integer(type: 'u8' | 'u16' | 'u32' | 'i32', low: number, high: number) {
  return (value: number): GgufValue => {
    invariant(Number.isInteger(value) && value >= low && value <= high, `${value} is no ${type}`)
    return { type, value }
  }
}

/** Makes metadata values: `gguf.u32(4)`, `gguf.strings(tokens)`. */
export const gguf = {
  u8: integer('u8', 0, 255),
  u16: integer('u16', 0, 65_535),
  u32: integer('u32', 0, 4_294_967_295),
  i32: integer('i32', -2_147_483_648, 2_147_483_647),
  u64: (value: bigint): GgufValue => ({ type: 'u64', value }),
  f32: (value: number): GgufValue => ({ type: 'f32', value: Math.fround(value) }),
  bool: (value: boolean): GgufValue => ({ type: 'bool', value }),
  string: (value: string): GgufValue => ({ type: 'string', value }),
  strings: (value: readonly string[]): GgufValue => ({ type: 'array', of: 'string', value }),
  i32s: (value: readonly number[] | Int32Array): GgufValue => ({
    type: 'array',
    of: 'i32',
    value: Int32Array.from(value)
  }),
  f32s: (value: readonly number[] | Float32Array): GgufValue => ({
    type: 'array',
    of: 'f32',
    value: Float32Array.from(value)
  })
}

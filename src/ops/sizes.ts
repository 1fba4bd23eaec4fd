/** Sizes, element types and attributes: the words that ops, plans and graphs share. */

/** Sizes that are bound when a plan runs: tokens in the batch, rows whose logits are wanted. */
export const symbols = ['rows', 'outputs'] as const
export type SymbolName = (typeof symbols)[number]

/** A size: a number, or a symbol bound at run time. */
export type Dim = number | SymbolName

/** Element types; f16 is IEEE 754 binary16 and bf16 the upper half of a binary32, both held as their bits. */
export type DType = 'f32' | 'f16' | 'bf16' | 'i32' | 'i8' | 'u8'

/** Bytes of one element. */
export const elementBytes: Record<DType, number> = { f32: 4, f16: 2, bf16: 2, i32: 4, i8: 1, u8: 1 }

/** An attribute of an op: an integer or size, or a number rounded to f32. */
export type Attribute = { readonly int: Dim } | { readonly f32: number }

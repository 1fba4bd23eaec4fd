/**
 * The definition of an op: one row per op of docs/internals/arithmetic.md section 4, with operands, shape rule,
 * gradient and reference implementation. Graph, executors' checks and tests work from these rows; `table.ts` collects
 * them.
 */
import type { Attribute, Dim, DType } from './sizes.ts'
import { symbols } from './sizes.ts'
import { VeritError } from '../lib/errors.ts'

/** The element type and shape of an operand; a graph's tensor is one. */
export interface Value {
  readonly dtype: DType
  readonly shape: readonly Dim[]
}

export type Data = Float32Array | Uint16Array | Int32Array | Int8Array | Uint8Array

/** One T for each operand name, in order. */
export type Each<N extends readonly string[], T> = { readonly [I in keyof N]: T }

/** As Each, undefined where the name ends with `?` (an operand that may be absent). */
export type Operands<N extends readonly string[], T> = {
  readonly [I in keyof N]: N[I] extends `${string}?` ? T | undefined : T
}

/** At least one operand, for rules that several ops share. */
export type AtLeast<T> = readonly [T, ...T[]]

/** The part of the graph that a gradient rule reads, and how it adds ops. The graph implements it. */
export interface Backward<
  K extends string = string,
  I extends readonly string[] = readonly string[],
  O extends readonly string[] = readonly string[]
> {
  readonly a: Readonly<Record<K, Dim>>
  readonly inputs: Each<I, Value>
  readonly outputs: Each<O, Value>
  /** The derivative of the loss by each output; null where the loss does not depend on it. */
  readonly dy: Each<O, Value | null>
  /** Whether the derivative by each input is needed. */
  readonly needs: Each<I, boolean>
  apply(op: string, inputs: readonly (Value | null)[], given?: Given): AtLeast<Value>
  /** The inputs of the op that made a value; null for a leaf. */
  producer(value: Value): readonly Value[] | null
}

export type Given = Readonly<Record<string, Dim>>

export interface Op<
  K extends string = string,
  I extends readonly string[] = readonly string[],
  O extends readonly string[] = readonly string[]
> {
  readonly name: string
  /** Operand names in the documented order; a trailing ? marks an operand that may be absent. */
  readonly inputs: I
  /** Likewise; a trailing ? marks an output that is omitted if nothing reads it. */
  readonly outputs: O
  /** Attributes in the documented order. */
  readonly attributes: Readonly<Record<K, 'int' | 'f32'>>
  /**
   * Derives the attributes from input shapes and given values; undefined for a size that is missing or does not fit.
   */
  infer(inputs: Each<I, Value>, given: Given): Partial<Record<K, Dim | undefined>>
  /** The operands that the attributes imply; null for one that must be absent. */
  operands(a: Readonly<Record<K, Dim>>): { inputs: readonly (Value | null)[]; outputs: readonly (Value | null)[] }
  /** Inputs over which output 0 may be written, element by element. */
  readonly inPlace?: readonly number[]
  /** The derivative by each input (null: none, or not needed). Absent where the op has no gradient. */
  gradient?(b: Backward<K, I, O>): readonly (Value | null)[]
  /** The problem of index inputs; null if there is none. Runs before `run`. */
  check?(inputs: Operands<I, Data>, a: Readonly<Record<K, number>>): string | null
  /** The reference: plain loops. Absent operands are undefined. */
  run(inputs: Operands<I, Data>, outputs: Operands<O, Data>, a: Readonly<Record<K, number>>): void
}

/** Declares an op; infers its attribute and operand names. */
export function op<K extends string, const I extends readonly string[], const O extends readonly string[]>(
  definition: Op<K, I, O>
): Op {
  return definition as unknown as Op
}

export const f32 = (...shape: Dim[]): Value => ({ dtype: 'f32', shape })
export const f16 = (...shape: Dim[]): Value => ({ dtype: 'f16', shape })
export const bf16 = (...shape: Dim[]): Value => ({ dtype: 'bf16', shape })
export const i32 = (...shape: Dim[]): Value => ({ dtype: 'i32', shape })
export const i8 = (...shape: Dim[]): Value => ({ dtype: 'i8', shape })
export const u8 = (...shape: Dim[]): Value => ({ dtype: 'u8', shape })

/** A product of sizes; a symbol may be multiplied by 1 only (a plan has no products of symbols). */
export function times(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b
  if (a === 1) return b
  return b === 1 ? a : NaN
}

/** A size divided and rounded up; NaN for a symbol. */
export function ceilDiv(a: Dim, b: number): number {
  return typeof a === 'number' ? Math.ceil(a / b) : NaN
}

/** A size rounded up to a multiple of 16. */
export function up16(a: Dim): number {
  return ceilDiv(a, 16) * 16
}

/** Rows and columns of an operand that is worked on element by element: a vector counts as one row. */
export function flat(x: Value): { N: Dim | undefined; C: Dim | undefined } {
  return x.shape.length === 1
    ? { N: 1, C: x.shape[0] }
    : { N: x.shape[0], C: x.shape.length === 2 ? x.shape[1] : undefined }
}

const withoutLeadingOnes = (shape: readonly Dim[]): readonly Dim[] => {
  const first = shape.findIndex(d => d !== 1)
  return first < 0 ? [] : shape.slice(first)
}

/** Whether two shapes are equal; leading ones do not count. */
export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  const x = withoutLeadingOnes(a)
  const y = withoutLeadingOnes(b)
  return x.length === y.length && x.every((d, i) => d === y[i])
}

export const shapeText = (v: Value | null | undefined): string => (v ? `${v.dtype}[${v.shape.join(', ')}]` : 'none')

const isSize = (d: unknown): boolean =>
  (symbols as readonly unknown[]).includes(d) || (Number.isSafeInteger(d) && (d as number) >= 0)

/**
 * Applies the shape rule of an op.
 * @returns the attributes by name and the operands they imply
 * @throws VeritError VERIT_SHAPE naming the op and the shapes
 */
export function applyShapeRule(
  row: Op,
  inputs: readonly (Value | null)[],
  given: Given
): { a: Record<string, Dim>; outputs: readonly (Value | null)[] } {
  const fail = (problem: string): never => {
    const shapes = row.inputs.map((name, i) => `${name.replace('?', '')} ${shapeText(inputs[i])}`).join(', ')
    throw new VeritError('VERIT_SHAPE', { op: row.name, problem, shapes })
  }
  if (inputs.length > row.inputs.length) fail(`takes ${row.inputs.length} inputs, not ${inputs.length}`)
  const missing = row.inputs.find((name, i) => !name.endsWith('?') && !inputs[i])
  if (missing !== undefined) fail(`input ${missing} is missing`)
  const found = row.infer(inputs as readonly Value[], given)
  const a: Record<string, Dim> = {}
  for (const [name, kind] of Object.entries(row.attributes)) {
    const value = name in found ? found[name] : given[name]
    if (kind === 'int' ? !isSize(value) : !Number.isFinite(value))
      fail(`${name} cannot be told from these shapes, or does not fit them`)
    a[name] = kind === 'int' ? value! : Math.fround(value as number)
  }
  const operands = row.operands(a)
  for (const [i, name] of row.inputs.entries()) {
    const want = operands.inputs[i] ?? null
    const got = inputs[i] ?? null
    if (want === null && got === null) continue
    if (want === null || got === null || want.dtype !== got.dtype || !sameShape(want.shape, got.shape)) {
      fail(`input ${name.replace('?', '')} should be ${shapeText(want)}, not ${shapeText(got)}`)
    }
  }
  const bad = operands.outputs.find(o => o?.shape.some(d => !isSize(d)))
  if (bad) fail(`an output would be ${shapeText(bad)}`)
  return { a, outputs: operands.outputs }
}

/** The attributes of a step, in the documented order. */
export function encodeAttributes(row: Op, a: Readonly<Record<string, Dim>>): Attribute[] {
  return Object.entries(row.attributes).map(([name, kind]) =>
    kind === 'f32' ? { f32: a[name] as number } : { int: a[name]! }
  )
}

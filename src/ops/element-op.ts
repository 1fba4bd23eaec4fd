/** The outline of an op that works on each element alone, on arrays of one shape: N rows of C columns. */
import { f32, flat, op } from './op.ts'
import type { AtLeast, Given, Op, Value } from './op.ts'
import type { Dim } from './sizes.ts'

export const rowsAndColumns = { N: 'int', C: 'int' } as const

export const inferFlat = ([x]: AtLeast<Value>): { N: Dim | undefined; C: Dim | undefined } => flat(x)

type Kept = 'name' | 'inputs' | 'outputs' | 'inPlace' | 'gradient' | 'run'

interface ElementOp<K extends string, I extends readonly string[], O extends readonly string[]> extends Pick<
  Op<'N' | 'C' | K, I, O>,
  Kept
> {
  /** Attributes besides the sizes. */
  readonly numbers?: Readonly<Record<K, 'f32'>>
  /** Undefined for a number out of range. */
  readonly inferNumbers?: (given: Given) => Partial<Record<K, Dim | undefined>>
}

export function elementOp<
  const I extends readonly string[],
  const O extends readonly string[],
  K extends string = never
>({ numbers, inferNumbers, ...row }: ElementOp<K, I, O>): Op {
  return op({
    ...row,
    attributes: { ...rowsAndColumns, ...numbers },
    infer: (inputs: AtLeast<Value>, given: Given) => ({ ...inferFlat(inputs), ...inferNumbers?.(given) }),
    operands: ({ N, C }: { N: Dim; C: Dim }) => ({
      inputs: row.inputs.map(() => f32(N, C)),
      outputs: row.outputs.map(() => f32(N, C))
    })
  } as unknown as Op)
}

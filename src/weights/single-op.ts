/** Plans of one op, for moving weights from the layout of a file to that of memory. */
import type { DType, Plan } from '../exec/plan.ts'
import { opTable } from '../ops/table.ts'
import { encodeAttributes } from '../ops/op.ts'

interface Operand {
  /** Name of its buffer. */
  readonly name: string
  readonly dtype: DType
  readonly bytes: number
}

interface SingleOp {
  readonly inputs: readonly Operand[]
  readonly outputs: readonly Operand[]
  /** By name, all of them. */
  readonly attributes: Readonly<Record<string, number>>
}

/** A plan that runs one op once. */
export function singleOp(op: string, { inputs, outputs, attributes }: SingleOp): Plan {
  const operands = [...inputs, ...outputs]
  const step = {
    op,
    inputs: inputs.map((_, i) => i),
    outputs: outputs.map((_, i) => inputs.length + i),
    attributes: encodeAttributes(opTable.get(op)!, attributes)
  }
  return {
    tensors: operands.map(({ dtype, bytes }, i) => ({ dtype, bytes, buffer: i + 1, offset: 0 })),
    steps: [step],
    buffers: ['arena', ...operands.map(({ name }) => name)],
    bufferBytes: [0, ...operands.map(({ bytes }) => bytes)],
    limits: { rows: 1, outputs: 1 }
  }
}

/**
 * Assembles a plan: names buffers, places tensors, encodes steps. The executor does all checks when it loads the plan.
 */
import type { Plan, PlanTensor, Step } from '../exec/plan.ts'
import { invariant } from '../lib/errors.ts'
import { roundUp } from '../lib/float.ts'
import { encodeAttributes } from '../ops/op.ts'
import { elementBytes, type Dim, type DType, type SymbolName } from '../ops/sizes.ts'
import { opTable } from '../ops/table.ts'

export class PlanBuilder {
  readonly #tensors: PlanTensor[] = []
  readonly #steps: Step[] = []
  readonly #buffers = ['arena']
  readonly #bytes = [0]

  /**
   * The tensor's index. Its first tensor creates a buffer, whose length is the need of its tensors, rounded up to 64
   * bytes.
   */
  tensor(buffer: string, dtype: DType, elements: number, offset = 0): number {
    let at = this.#buffers.indexOf(buffer)
    if (at < 0) {
      at = this.#buffers.push(buffer) - 1
      this.#bytes.push(0)
    }
    const bytes = elements * elementBytes[dtype]
    this.#bytes[at] = Math.max(this.#bytes[at]!, roundUp(offset + bytes, 64))
    return this.#tensors.push({ dtype, bytes, buffer: at, offset }) - 1
  }

  /** Adds a step; attributes by name. Operands left out at the end are absent. */
  step(op: string, inputs: readonly number[], outputs: readonly number[], a: Readonly<Record<string, Dim>>): void {
    const row = opTable.get(op)
    invariant(row, `there is no op ${op}`)
    const all = (given: readonly number[], { length }: readonly string[]): number[] =>
      Array.from({ length }, (_, i) => given[i] ?? -1)
    const attributes = encodeAttributes(row, a)
    this.#steps.push({ op, inputs: all(inputs, row.inputs), outputs: all(outputs, row.outputs), attributes })
  }

  build(limits: Readonly<Record<SymbolName, number>> = { rows: 1, outputs: 1 }): Plan {
    return {
      tensors: this.#tensors,
      steps: this.#steps,
      buffers: this.#buffers,
      bufferBytes: this.#bytes,
      limits: { ...limits }
    }
  }
}

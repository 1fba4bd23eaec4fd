/**
 * The buffers of one plan, allocated at the lengths of the plan (whole multiples of 64 bytes), with typed views to fill
 * and read them. They fit the largest run and the longest sequences; most of the memory is never touched, and so takes
 * no space. All are one allocation: several of that size would make V8 collect garbage every time.
 */
import { invariant } from '../lib/errors.ts'
import { roundUp } from '../lib/float.ts'
import type { Executor, Plan } from './plan.ts'

/** Bytes of a page of the system: none belongs to two buffers. */
const PAGE = 4096

/** Memory of a plan besides the caller's buffers, in bytes: the arena and the plan's own buffers. */
export function ownBytes(plan: Plan, shared: readonly string[]): number {
  return plan.buffers.reduce((sum, name, b) => (shared.includes(name) ? sum : sum + plan.bufferBytes[b]!), 0)
}

export class PlanMemory {
  /** To hand to `run`. A caller may replace an entry between runs. */
  readonly buffers: Record<string, Uint8Array>

  /**
   * @param shared buffers of the caller, used under their names; all others are new and zeroed
   * @param values copied into new buffers of their names: constants, fixed inputs
   */
  constructor(
    executor: Executor,
    plan: Plan,
    shared: Readonly<Record<string, Uint8Array>> = {},
    values: Readonly<Record<string, ArrayBufferView>> = {}
  ) {
    const places = plan.bufferBytes.map(() => 0)
    let end = 0
    for (const [b, name] of plan.buffers.entries()) {
      if (b === 0 || shared[name] !== undefined) continue
      places[b] = end
      end = roundUp(end + plan.bufferBytes[b]!, PAGE)
    }
    const memory = executor.allocate(end, true)
    this.buffers = {}
    for (const [b, name] of plan.buffers.entries()) {
      if (b === 0) continue
      const given = shared[name]
      const value = values[name]
      const bytes = (this.buffers[name] = given ?? new Uint8Array(memory, places[b]!, plan.bufferBytes[b]!))
      if (given === undefined && value !== undefined)
        bytes.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
    }
  }

  /** Whether the plan has a buffer of this name. */
  has(name: string): boolean {
    return Object.hasOwn(this.buffers, name)
  }

  /** A buffer as f32, padding included. */
  f32(name: string): Float32Array {
    const b = this.#buffer(name)
    return new Float32Array(b.buffer, b.byteOffset, b.byteLength >> 2)
  }

  /** A buffer as i32, padding included. */
  i32(name: string): Int32Array {
    const b = this.#buffer(name)
    return new Int32Array(b.buffer, b.byteOffset, b.byteLength >> 2)
  }

  #buffer(name: string): Uint8Array {
    const buffer = this.buffers[name]
    invariant(buffer !== undefined, `the plan has no buffer ${name}`)
    return buffer
  }
}

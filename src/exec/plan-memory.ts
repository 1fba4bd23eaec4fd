/**
 * The buffers of one plan, allocated as long as the plan wants them (whole multiples of 64 bytes), with typed views to fill and read them. They are as long as the largest run needs, and
 * caches as the longest sequences: most of it is never touched, and takes no memory.
 */
import { invariant } from '../lib/errors.ts'
import type { Executor, Plan } from './plan.ts'

export class PlanMemory {
  /** To hand to `run`. A caller may replace an entry between runs. */
  readonly buffers: Record<string, Uint8Array>

  /**
   * @param shared buffers of the caller, used as they are under their names; every other one is new and zero
   * @param values copied into the new buffers of their names: constants, inputs that never change
   */
  constructor(
    executor: Executor, plan: Plan, shared: Readonly<Record<string, Uint8Array>> = {}, values: Readonly<Record<string, ArrayBufferView>> = {},
  ) {
    this.buffers = {}
    plan.buffers.forEach((name, b) => {
      if (b === 0) return
      const given = shared[name]
      const bytes = this.buffers[name] = given ?? new Uint8Array(executor.allocate(plan.bufferBytes[b]!, true))
      const value = values[name]
      if (given === undefined && value !== undefined) bytes.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
    })
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

/**
 * A plan: the flat program that a graph compiles to, and the interface of its executors. Both executors (native.ts,
 * reference.ts) take the same plan and give the same bits; `docs/internals/arithmetic.md` section 4 defines each op
 * with its inputs, outputs and attributes.
 */

import type { Attribute, DType, SymbolName } from '../ops/sizes.ts'

export { elementBytes, symbols } from '../ops/sizes.ts'
export type { Attribute, Dim, DType, SymbolName } from '../ops/sizes.ts'

export interface PlanTensor {
  readonly dtype: DType
  /** Bytes at the largest sizes the plan was compiled for. */
  readonly bytes: number
  /** Index into `Plan.buffers`; 0 is the arena, which the executor owns. */
  readonly buffer: number
  /** Byte offset in that buffer, a multiple of 64. */
  readonly offset: number
}

export interface Step {
  readonly op: string
  /**
   * Tensor indices in the op's documented order, as many as the op has operands; -1 where an optional one is absent.
   */
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
  readonly attributes: readonly Attribute[]
}

export interface Plan {
  readonly tensors: readonly PlanTensor[]
  readonly steps: readonly Step[]
  /** Buffer names; [0] is 'arena', the others are given to `run` by name. */
  readonly buffers: readonly string[]
  /** Bytes of each buffer (of the arena, too). */
  readonly bufferBytes: readonly number[]
  /** The largest value of each symbol. */
  readonly limits: Readonly<Record<SymbolName, number>>
}

/** Buffers of a run: bytes, at least `bufferBytes` each. Any typed array may view them. */
export type Buffers = Readonly<Record<string, ArrayBufferView>>

/** Values of the symbols for one run; an absent one takes its limit. */
export type Bindings = Partial<Record<SymbolName, number>>

export interface LoadedPlan {
  readonly plan: Plan
  /**
   * Runs every step once. The buffers must not be touched until the promise settles. Runs of one loaded plan are
   * queued, never interleaved.
   * @throws VeritError VERIT_PLAN for missing or short buffers, sizes over the limits or an index out of range
   */
  run(buffers: Buffers, bindings?: Bindings): Promise<void>
  /** Frees the arena. Further use is an error. */
  dispose(): void
}

/** Runs compiled plans: the native kernels, or the reference in TypeScript. All give the same bits. */
export interface Executor {
  /** 'native avx512' and the like (native.ts has the names), or 'reference'. */
  readonly name: string
  readonly threads: number
  /** Whether its kernels look bytes up in tables of 64 and 128 bytes in registers (AVX-512 VBMI). */
  readonly bytePermutes: boolean
  /**
   * Zeroed memory, 64-byte aligned if the executor needs it; it may be longer.
   * @param sparse whether only parts may be used: then in small pages, as they are touched. Default false: in large
   *   pages if available
   */
  allocate(bytes: number, sparse?: boolean): ArrayBuffer
  /**
   * Checks a plan and prepares it to run. @param sparse of the arena, as in `allocate`: for a plan whose runs mostly
   * are much smaller than its limits
   */
  load(plan: Plan, sparse?: boolean): LoadedPlan
}

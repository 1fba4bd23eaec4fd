/**
 * A plan: the flat program a graph compiles to, and the interface of what runs it. Both executors (native.ts, reference.ts) take the
 * same plan and give the same bits; `docs/arithmetic.md` section 4 says what each op computes and lists its inputs, outputs and attributes.
 */

/** Sizes that are bound when a plan runs: tokens in the batch, rows whose logits are wanted, positions kept by a cache. */
export const symbols = ['rows', 'outputs'] as const
export type SymbolName = (typeof symbols)[number]

/** A size: a number, or a symbol bound at run time. */
export type Dim = number | SymbolName

export type DType = 'f32' | 'i32' | 'i8' | 'u8'

/** Bytes of one element. */
export const elementBytes: Record<DType, number> = { f32: 4, i32: 4, i8: 1, u8: 1 }

/** An attribute of an op: an integer or size, or a number rounded to f32. */
export type Attribute = { readonly int: Dim } | { readonly f32: number }

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
  /** Tensor indices in the op's documented order; -1 where an optional one is absent. */
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

/** Buffers of a run: plain bytes, at least `bufferBytes` long each. Any typed array over them may be used to fill or read them. */
export type Buffers = Readonly<Record<string, ArrayBufferView>>

/** Values of the symbols for one run; an absent one takes its limit. */
export type Bindings = Partial<Record<SymbolName, number>>

export interface LoadedPlan {
  readonly plan: Plan
  /**
   * Runs every step once. The buffers must not be touched until the promise settles. Runs of one loaded plan are queued, never interleaved.
   * @throws VeritError VERIT_PLAN for missing or short buffers, sizes over the limits or an index out of range
   */
  run(buffers: Buffers, bindings?: Bindings): Promise<void>
  /** Frees the arena. Further use is an error. */
  dispose(): void
}

export interface Executor {
  /** 'native avx512', 'native avx2', 'native baseline', 'native neon' or 'reference'. */
  readonly name: string
  readonly threads: number
  /** Zeroed memory, 64-byte aligned where the executor cares. */
  allocate(bytes: number): ArrayBuffer
  load(plan: Plan): LoadedPlan
}

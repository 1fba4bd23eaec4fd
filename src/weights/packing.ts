/**
 * Layout of a matrix in memory for serving, and its operations. A packing is chosen for each tensor by its ggml type
 * (choose-packing.ts); no other file knows types. registry.ts has the decoders of the types.
 */
import type { Plan } from '../exec/plan.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import type { TernaryPacking } from '../lib/compute-settings.ts'
import type { DType } from '../ops/sizes.ts'

/** Rows (outputs) and columns (inputs) of a matrix. */
export interface MatrixSize {
  readonly out: number
  readonly inputs: number
}

/** One buffer of a packed matrix. The first dimension counts groups of rows, so that matrices can be stacked. */
export interface PackedPart {
  /** Unique within the matrix. */
  readonly part: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** Rows of the matrix in one group. Absent where the part does not belong to rows. */
  readonly rows?: number
}

/** The parts of a packed matrix as tensors of a graph, by name. */
export type PackedTensors = (part: string) => Tensor

/** Source and destination of a packing when a matrix is loaded. Rows are those of the model, in its order. */
export interface PackJob extends MatrixSize {
  /** Name of the tensor, for errors. */
  readonly tensor: string
  /** ggml type of the tensor in the file. */
  readonly type: string
  /** Raw bytes of rows. Valid until the call after the next one. */
  raw(from: number, rows: number): Uint8Array<ArrayBuffer>
  /** Decoded rows, every value finite. @throws VeritError VERIT_TENSOR */
  values(from: number, rows: number): Float32Array<ArrayBuffer>
  /** Reads the raw bytes of rows to a place. */
  readInto(from: number, place: Uint8Array): void
  /** The bytes of a part that hold a range of rows. The range begins and ends at a group, or ends at the last row. */
  place(part: string, from: number, rows: number): Uint8Array
  /** The whole matrix as -1, 0, 1 and one scale. @throws VeritError VERIT_TENSOR if it is not ternary */
  ternary(): { trits: Int8Array; scale: number }
  /** Raw bytes of a whole ternary tensor and its scale; undefined where it takes `ternary` to read it. */
  ternaryCodes(): { raw: Uint8Array<ArrayBuffer>; scale: number } | undefined
  /**
   * Runs a plan on the executor's threads, after the one before. Plans of equal keys are made once.
   * @param refused throws the error if the plan refuses the data
   */
  run(key: string, make: () => Plan, buffers: Record<string, ArrayBufferView>, refused?: () => never): Promise<void>
  /** For `run`: the error of a refusal. */
  readonly notFinite: () => never
  readonly badScale: () => never
  readonly reservedCode: () => never
}

/** Fills a part with random content of a plausible size, for measuring. */
export type RandomFill = (part: PackedPart, place: Uint8Array<ArrayBuffer>, random: () => number) => void

export interface Packing {
  /** Name in reports: the ggml type in lower case, and specialities. */
  readonly name: string
  /** Whether a product needs to know how many of the largest outputs are wanted (output-head screening). */
  readonly screened?: true
  /** Packing of ternary weights, whose activations are rounded to int8 by row: five or four codes per byte. */
  readonly ternary?: TernaryPacking
  /** Activations are rounded to one int8 each, so that a product takes one int8 operation of each kind for a weight. */
  readonly int8?: true
  parts(size: MatrixSize): readonly PackedPart[]
  /**
   * x [N, inputs] times the transposed matrix, plus the bias [out] -> [N, out].
   * @param top i32[N], for a screened packing: number of largest outputs needed per row; 0: all
   */
  linear(g: Graph, x: Tensor, m: PackedTensors, size: MatrixSize, bias?: Tensor, top?: Tensor): Tensor
  /** Rows ids i32[N] -> f32 [N, inputs]; absent if the packing has no such op. */
  rows?(g: Graph, m: PackedTensors, ids: Tensor, size: MatrixSize): Tensor
  /**
   * Products with the matrices that rows chose among `count` adjacent matrices of this size: x [N, inputs], the same
   * for each choice, or [N, k · inputs]; experts i32 [N, k] -> [N, k · out]. Absent if there is no such op.
   */
  experts?(
    g: Graph,
    x: Tensor,
    m: PackedTensors,
    experts: Tensor,
    size: MatrixSize & { readonly count: number }
  ): Tensor
  /** Fills the parts from a file. */
  pack(job: PackJob): Promise<void>
  readonly random: RandomFill
  /** Parts derived from others after `random`. */
  derive?(size: MatrixSize): { plan: Plan; buffers: Readonly<Record<string, string>> }
}

/** Bytes of a tensor that are read and moved at a time. */
const SLICE = 8 << 20

/** Ranges of rows whose raw bytes are about 8 MiB, each a multiple of `unit` but the last. */
export function* rowSlices(rows: number, rowBytes: number, unit: number): Generator<[from: number, rows: number]> {
  const most = unit * Math.max(1, Math.floor(SLICE / (unit * rowBytes)))
  for (let from = 0; from < rows; from += most) yield [from, Math.min(most, rows - from)]
}

/** Groups of `unit` rows, the last one perhaps not full. */
export const groupsOf = (rows: number, unit: number): number => Math.ceil(rows / unit)

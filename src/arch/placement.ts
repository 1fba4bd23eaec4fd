/** For each row of a batch: its token, position, cache row and attention span. */
import type { Tensor } from '../graph/graph.ts'

/** Per-layer cache of earlier positions: keys and values for attention, columns in `values` for a short convolution. */
export interface LayerState {
  readonly keys?: Tensor
  readonly values: Tensor
}

/** The inputs of a forward pass besides its parameters. All [N] i32 unless noted. */
export interface Placement {
  readonly ids: Tensor
  /** Position in the sequence, 0 to context - 1. */
  readonly positions: Tensor
  /** Cache row that receives this row's key and value. */
  readonly cacheRow: Tensor
  /** Pages of each sequence [sequences, ⌈context/16⌉], in order; page p is the cache rows 16p … 16p + 15. */
  readonly pages: Tensor
  /** The row's sequence: a row of `pages`. */
  readonly sequence: Tensor
  /** Cache rows it attends to, itself included. */
  readonly length: Tensor
  /** Rows of the whole cache, a multiple of 16. */
  readonly cacheRows: number
  /** Longest `length`. */
  readonly context: number
  /** Caches that outlive the run, by layer; without them one is made for the run. */
  readonly cache?: (layer: number) => LayerState
  /** Random key of dropout, i32[3]: seed low, seed high, micro-step. Absent: no dropout. */
  readonly rng?: Tensor
}

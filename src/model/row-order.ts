/**
 * Rotary positions turn pairs of a head's outputs: Verit pairs i with i + D/2 (halves, as Hugging Face does), files of
 * some architectures pair 2i with 2i + 1. Both compute the same numbers when the rows of the query and key matrices are
 * put into another order, which is what llama.cpp's converter does (`permute`), and what is undone here.
 */
import type { ModelConfig } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'

/** For each row of a parameter of ours the row in a file; undefined where the order is the same. */
export const fileRows = (config: ModelConfig, parameter: string): Int32Array | undefined =>
  architecture(config).fileRows(config, parameter)

type Values = Uint8Array | Int8Array | Float32Array

/** Rows of equal size, row r of the result being row order[r]; what follows the last row stays. */
export function pickRows<T extends Values>(values: T, order: Int32Array, size: number): T {
  const picked = values.slice() as T
  for (const [r, from] of order.entries()) picked.set(values.subarray(from * size, (from + 1) * size), r * size)
  return picked
}

/** Rows in order, of which `values` holds those from `first` on: row r of the result is row order[r]. */
export function pickRowsInto(picked: Uint8Array, values: Uint8Array, first: number, order: Int32Array): void {
  const size = picked.length / order.length
  for (const [r, from] of order.entries())
    picked.set(values.subarray((from - first) * size, (from - first + 1) * size), r * size)
}

/** The inverse: row order[r] of the result is row r. */
export function placeRows<T extends Values>(values: T, order: Int32Array, size: number): T {
  const placed = values.slice() as T
  for (const [r, to] of order.entries()) placed.set(values.subarray(r * size, (r + 1) * size), to * size)
  return placed
}

/**
 * Rotary positions rotate pairs of a head's outputs: Verit pairs i with i + D/2 (halves, as Hugging Face), files of
 * some architectures pair 2i with 2i + 1. Both give the same numbers if the rows of query and key matrices are
 * permuted, which llama.cpp's converter does (`permute`), and which is undone here.
 */
import type { ModelConfig } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'

/** For each row of a parameter of ours the row in a file; undefined where the order is the same. */
export const fileRows = (config: ModelConfig, parameter: string): Int32Array | undefined =>
  architecture(config).fileRows(config, parameter)

type Values = Uint8Array | Int8Array | Float32Array

/** Rows of equal size; row r of the result is row order[r]. Data behind the last row stay. */
export function pickRows<T extends Values>(values: T, order: Int32Array, size: number): T {
  const picked = values.slice() as T
  for (const [r, from] of order.entries()) picked.set(values.subarray(from * size, (from + 1) * size), r * size)
  return picked
}

/** Reordered rows; `values` holds those from `first` on. Row r of the result is row order[r]. */
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

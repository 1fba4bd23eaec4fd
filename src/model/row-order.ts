/**
 * Rotary positions turn pairs of a head's outputs: Verit pairs i with i + D/2 (halves, as Hugging Face does), files of the architecture `llama` pair 2i with 2i + 1. Both compute the same
 * numbers when the rows of the query and key matrices are put into another order, which is what llama.cpp's converter does (`permute`), and what is undone here.
 */
import { headWidth } from './config.ts'
import type { ModelConfig } from './config.ts'
import { architectureOf, isInterleaved } from './gguf-config.ts'

/** For each row of a parameter of ours the row in a file of the architecture; undefined where the order is the same. Default: the architecture that the configuration is written as. */
export function fileRows(config: ModelConfig, parameter: string, architecture = architectureOf(config)): Int32Array | undefined {
  if (!isInterleaved(architecture) || config.kind !== 'bitnet' || !/\.attn_[qk]\.weight$/.test(parameter)) return undefined
  const width = headWidth(config), half = width / 2
  const rows = parameter.endsWith('attn_q.weight') ? config.hidden : config.kvHeads * width
  return Int32Array.from({ length: rows }, (_, r) => {
    const within = r % width
    return r - within + 2 * (within % half) + Math.floor(within / half)
  })
}

/** Rows of equal size, row r of the result being row order[r]; what follows the last row stays. */
export function pickRows<T extends Uint8Array | Int8Array | Float32Array>(values: T, order: Int32Array, size: number): T {
  const picked = values.slice() as T
  for (const [r, from] of order.entries()) picked.set(values.subarray(from * size, (from + 1) * size), r * size)
  return picked
}

/** The inverse: row order[r] of the result is row r. */
export function placeRows<T extends Uint8Array | Int8Array>(values: T, order: Int32Array, size: number): T {
  const placed = values.slice() as T
  for (const [r, to] of order.entries()) placed.set(values.subarray(r * size, (r + 1) * size), to * size)
  return placed
}

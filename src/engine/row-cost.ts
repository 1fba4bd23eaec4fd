/** What one more row costs in a run of few rows: whether guessed tokens can pay, and how likely they have to be (guess-record.ts). */
import type { ModelConfig } from '../model/config.ts'

/** Where guessing is asked for, and nothing was measured. */
const UNKNOWN = 1 / 2

/**
 * In runs of one row, the dearest of what was measured and a little more (docs/generation.md has the figures), so that guessing loses nowhere. Undefined: nothing is to be guessed.
 * @param executor its name: 'native avx512' and the like
 * @param speculate true: wherever; false: never; a number: this is the cost; undefined: where it was measured to pay
 */
export function rowCost(executor: string, kind: ModelConfig['kind'], speculate: boolean | number | undefined): number | undefined {
  if (speculate === false) return undefined
  if (typeof speculate === 'number') return speculate
  const measured = executor === 'native avx512' ? 1 / 3 : executor === 'native avx2' && kind === 'bitnet' ? 0.45 : undefined
  return measured ?? (speculate === true ? UNKNOWN : undefined)
}

/** The packing of a matrix: by its ggml type, its use, and the fastest layout of the machine. */
import { blockMatrices } from './block-matrices.ts'
import { bf16Panels, floatPanels, halfPanels } from './panels.ts'
import { headQ6_K, headQ8_0 } from './head-blocks.ts'
import type { Packing } from './packing.ts'
import { isTernaryType } from './registry.ts'
import { screenedHead } from './screened-head.ts'
import { ternaryBase3, ternaryTwoBit } from './ternary-matrices.ts'
import type { TernaryPacking } from './ternary-packing.ts'

export interface PackingChoice {
  /**
   * `layer`: a projection. `experts`: the same projection of each expert. `head`: the output head, also where it is the
   * token embedding. `table`: a token embedding that is not the head.
   */
  readonly role: 'layer' | 'experts' | 'head' | 'table'
  /** Whether the matrix is multiplied as ternary weights whatever its type is. */
  readonly ternary: boolean
  /** How codes of ternary weights are packed. */
  readonly codes: TernaryPacking
  /** Whether an f16 head gets a copy for output-head screening. */
  readonly screen: boolean
}

const HEADS: Readonly<Record<string, Packing>> = { Q6_K: headQ6_K, Q8_0: headQ8_0 }

/** @param type ggml type, as in `ggufTypes` */
export function packingOf(type: string, { role, ternary, codes, screen }: PackingChoice): Packing {
  if (ternary || (role === 'layer' && isTernaryType(type))) return codes === 'base3' ? ternaryBase3 : ternaryTwoBit
  if (type === 'F16') return screen && role === 'head' ? screenedHead : halfPanels
  if (type === 'BF16') return bf16Panels
  const table = role === 'head' || role === 'table'
  return (table ? HEADS[type] : undefined) ?? blockMatrices.get(type) ?? floatPanels
}

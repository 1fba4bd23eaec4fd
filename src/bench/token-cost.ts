/** What one token costs a machine: bytes that have to be read, and operations of the ternary products. */
import { roundUp } from '../lib/float.ts'
import { elementBytes } from '../exec/plan.ts'
import type { ModelConfig } from '../model/config.ts'
import { elementsOf, parametersOf } from '../model/parameters.ts'
import { servingParts } from '../model/weights.ts'
import type { ServingForm } from '../model/weights.ts'
import { positionBytes } from '../engine/cache-size.ts'

export interface TokenCost {
  /** What the weights of the output head are kept as, in GGUF's words: f32, f16, q8_0 or q6_k; 'f16 screened' with a copy of 6 bits that says which rows matter. */
  readonly head: string
  /** Bytes of the weights of all layers, as they are kept: read once for all rows of a run. */
  readonly layerBytes: number
  /** Of the output head, the least (of a screened one, the copy): read once for all rows of a run whose logits are wanted. */
  readonly headBytes: number
  /** Of the keys and values of one position, read once for each later row of its sequence. */
  readonly positionBytes: number
  /** Multiplications and additions of the ternary products for a row: two for each ternary weight. The head is not among them. */
  readonly operations: number
}

const BLOCK_TYPES: Readonly<Record<string, string>> = { sixBits: 'q6_k', eightBits: 'q8_0', rows: 'f16 screened' }

export function tokenCost(config: ModelConfig, form: ServingForm): TokenCost {
  const parts = servingParts(config, form), own = parts.some(p => p.of.name === 'head.weight')
  let head = '', layerBytes = 0, headBytes = 0
  for (const { of, form, dtype, shape } of parts) {
    const bytes = roundUp(shape.reduce((n, d) => n * d, elementBytes[dtype]), 64)
    if (of.name === (own ? 'head.weight' : 'token_embedding')) {
      if (form !== 'rows') headBytes += bytes
      head ||= BLOCK_TYPES[form] ?? dtype
    } else if (!of.name.endsWith('_embedding')) layerBytes += bytes // of those one row is read
  }
  const ternary = parametersOf(config).filter(p => p.ternary).reduce((n, p) => n + elementsOf(p), 0)
  return { head, layerBytes, headBytes, positionBytes: positionBytes(config), operations: 2 * ternary }
}

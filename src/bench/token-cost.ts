/** What one token costs a machine: bytes that have to be read, and operations of the ternary products. */
import type { CacheType } from '../arch/architecture.ts'
import { roundUp } from '../lib/float.ts'
import type { ModelConfig } from '../model/config.ts'
import { elementsOf, parametersOf } from '../model/parameters.ts'
import { headOf, headPacking, partBytes, servingParts } from '../model/weights.ts'
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

/** @param cacheType element type of the KV cache */
export function tokenCost(config: ModelConfig, form: ServingForm, cacheType: CacheType): TokenCost {
  let layerBytes = 0
  let headBytes = 0
  for (const part of servingParts(config, form)) {
    const { name } = part.of
    const bytes = roundUp(partBytes(part), 64)
    // a screened head reads few of its rows
    if (name === headOf(config)) headBytes += part.part === 'rows' ? 0 : bytes
    else if (!name.endsWith('_embedding')) layerBytes += bytes // of those one row is read
  }
  const ternary = parametersOf(config).filter(p => form.get(p.name)?.ternary).reduce((n, p) => n + elementsOf(p), 0)
  const perPosition = positionBytes(config, cacheType)
  return { head: headPacking(config, form).name, layerBytes, headBytes, positionBytes: perPosition, operations: 2 * ternary }
}

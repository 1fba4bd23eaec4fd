/** The cost of one token: bytes that are read, and operations of the int8 products. Activations are not counted. */
import type { CacheType } from '../arch/architecture.ts'
import { roundUp } from '../lib/float.ts'
import type { ModelConfig } from '../model/config.ts'
import { elementsOf, parametersOf } from '../model/parameters.ts'
import type { Parameter } from '../model/parameters.ts'
import { headOf, headPacking, matricesOf, partBytes, servingParts } from '../model/weights.ts'
import type { ServingForm } from '../model/weights.ts'
import { positionBytes } from '../engine/cache-size.ts'

export interface TokenCost {
  /** Weight format of the output head, such as f16 or q6_k; 'f16 screened' with output-head screening. */
  readonly head: string
  /** Bytes of the packed weights of all layers, without experts. A run reads them once for all of its rows. */
  readonly layerBytes: number
  /** Bytes of the packed weights of all experts. */
  readonly expertBytes: number
  /** The share of the experts that one row uses; 1 without experts. */
  readonly expertShare: number
  /** Bytes of the output head; with screening, those of the 6-bit copy. A run reads them once for all wanted rows. */
  readonly headBytes: number
  /** Bytes of the keys and values of one position. Each later row of its sequence reads them. */
  readonly positionBytes: number
  /**
   * Multiplications and additions of a row's int8 products with ternary and block-quantised matrices: two for each
   * weight. Products with f32, f16 and bf16 matrices are not int8. The head is not counted: few rows need it.
   */
  readonly operations: number
}

/** The cost of a token of a model whose weights have this form. @param cacheType element type of the KV cache */
export function tokenCost(config: ModelConfig, form: ServingForm, cacheType: CacheType): TokenCost {
  const head = headOf(config)
  const bytes = { layer: 0, expert: 0, head: 0 }
  for (const part of servingParts(config, form)) {
    const { name } = part.of
    const size = roundUp(partBytes(part), 64)
    // Screening reads few rows of the f16 head.
    if (name === head) bytes.head += part.part === 'rows' ? 0 : size
    else if (matricesOf(part.of) > 1) bytes.expert += size
    // A run reads one row of an embedding for each token.
    else if (!name.endsWith('_embedding')) bytes.layer += size
  }
  const inLayers = parametersOf(config).filter(({ name }) => name !== head && !name.endsWith('_embedding'))
  const weights = (p: Parameter): number => elementsOf(p) * shareOf(config, p)
  return {
    head: headPacking(config, form).name,
    layerBytes: bytes.layer,
    expertBytes: bytes.expert,
    headBytes: bytes.head,
    expertShare: Math.min(1, ...parametersOf(config).map(p => shareOf(config, p))),
    positionBytes: positionBytes(config, cacheType),
    operations: 2 * inLayers.filter(p => form.get(p.name)?.int8).reduce((n, p) => n + weights(p), 0)
  }
}

/** The share of a parameter's matrices that a row is multiplied with. */
const shareOf = ({ expertsUsed = 1 }: ModelConfig, p: Parameter): number => Math.min(1, expertsUsed / matricesOf(p))

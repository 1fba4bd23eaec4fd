/** The memory that a model needs for serving, from the header of its file. It reads no weights. */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { roundUp } from '../lib/float.ts'
import { ggufName } from '../model/gguf-config.ts'
import { PAGE_ROWS, pagesOf } from '../model/graphs.ts'
import { readModel } from '../model/load-gguf.ts'
import { partBytes, servingForm, servingParts } from '../model/weights.ts'
import { cacheTypeOf, positionBytes } from './cache-size.ts'

export interface MemoryNeeded {
  /** Bytes of all weights as packed for serving. Ternary codes count four to a byte; some machines pack five. */
  readonly weights: number
  /** The KV cache of one sequence, at 4,096 tokens (where the context has them) and at the context length. */
  readonly cache: readonly { readonly tokens: number; readonly bytes: number }[]
}

const USUAL_TOKENS = 4096

/**
 * The memory that the weights and the KV cache of a model need.
 * @throws VeritError for a file that `loadModel` refuses, but for faults in the values of its tensors
 */
export function memoryNeeded(file: GgufFile): MemoryNeeded {
  const { config } = readModel(file)
  const type = ({ name }: { readonly name: string }): string => file.tensor(ggufName(config, name)).type
  const form = servingForm(config, { type, codes: 'two-bit', screen: 'auto' })
  const weights = servingParts(config, form).reduce((sum, part) => sum + roundUp(partBytes(part), 64), 0)
  const position = positionBytes(config, cacheTypeOf(config))
  const lengths = new Set([Math.min(USUAL_TOKENS, config.context), config.context])
  return { weights, cache: [...lengths].map(tokens => ({ tokens, bytes: pagesOf(tokens) * PAGE_ROWS * position })) }
}

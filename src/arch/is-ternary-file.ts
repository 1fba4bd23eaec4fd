/**
 * Tells files of the architecture `llama` with ternary projections, which are models of another kind, from all others.
 */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { isTernaryType, isWeightType, weightType } from '../weights/registry.ts'
import { decodeWeights } from '../weights/tensor.ts'

/** Number of elements inspected: a matrix that is not ternary shows a third magnitude among the first few. */
const LOOKED_AT = 4096

/** Whether the first projection is packed as ternary weights, or has only the values 0, m and -m. */
export function isTernaryFile(file: GgufFile): boolean {
  const name = 'blk.0.attn_q.weight'
  if (!file.has(name)) return false
  const { type, elements } = file.tensor(name)
  if (isTernaryType(type)) return true
  if (!isWeightType(type)) return false
  const { block, bytes } = weightType(type)
  const blocks = Math.floor(Math.min(elements, LOOKED_AT) / block)
  const raw = new Uint8Array(blocks * bytes)
  file.readTensorPart(name, 0, raw)
  try {
    const values = decodeWeights(type, raw, new Float32Array(blocks * block), name)
    const scale = Math.abs(values.find(v => v !== 0) ?? 0)
    return scale > 0 && values.every(v => v === 0 || Math.abs(v) === scale)
  } catch (e) {
    // Loading reports invalid values later.
    if (VeritError.is(e, 'VERIT_TENSOR')) return false
    throw e
  }
}

/** Tells files of the architecture `llama` with ternary projections, which are models of another kind, from all others. */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { ggufTypes } from '../formats/gguf-types.ts'
import { decodeWeights } from '../formats/quants.ts'
import type { WeightType } from '../formats/quants.ts'
import { VeritError } from '../lib/errors.ts'

const PACKED: readonly string[] = ['I2_S', 'TQ1_0', 'TQ2_0']

/** Types that a converter may have left ternary values in. */
const FLOATS: readonly string[] = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_K', 'Q6_K'] satisfies WeightType[]

/** Elements that are looked at: a matrix that is not ternary shows a third magnitude among the first few. */
const LOOKED_AT = 4096

/** Whether the first projection is packed as ternary weights, or has values of which each is 0, m or -m. */
export function isTernaryFile(file: GgufFile): boolean {
  const name = 'blk.0.attn_q.weight'
  if (!file.has(name)) return false
  const { type, elements } = file.tensor(name)
  if (PACKED.includes(type)) return true
  if (!FLOATS.includes(type)) return false
  const { block, bytes } = ggufTypes[type]
  const blocks = Math.floor(Math.min(elements, LOOKED_AT) / block)
  const raw = new Uint8Array(blocks * bytes)
  file.readTensorPart(name, 0, raw)
  try {
    const values = decodeWeights(type as WeightType, raw, new Float32Array(blocks * block), name)
    const scale = Math.abs(values.find(v => v !== 0) ?? 0)
    return values.every(v => v === 0 || Math.abs(v) === scale)
  } catch (e) {
    // Loading says later what is wrong with the values.
    if (VeritError.is(e, 'VERIT_TENSOR')) return false
    throw e
  }
}

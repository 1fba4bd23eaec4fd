/**
 * Tells files of the architecture `llama` with ternary projections, which are models of another kind, from all
 * others.
 */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { f16Value } from '../lib/half.ts'

const TERNARY: readonly string[] = ['I2_S', 'TQ1_0', 'TQ2_0']

/** Elements that are looked at: a matrix that is not ternary shows a third magnitude among the first few. */
const LOOKED_AT = 4096

/** Whether the first projection is packed as ternary weights, or has floats of which each is 0, m or -m. */
export function isTernaryFile(file: GgufFile): boolean {
  const name = 'blk.0.attn_q.weight'
  if (!file.has(name)) return false
  const { type, elements } = file.tensor(name)
  if (TERNARY.includes(type)) return true
  if (type !== 'F32' && type !== 'F16') return false
  const width = type === 'F32' ? 4 : 2
  const bytes = new Uint8Array(Math.min(elements, LOOKED_AT) * width)
  file.readTensorPart(name, 0, bytes)
  const view = new DataView(bytes.buffer)
  const values = Float32Array.from({ length: bytes.length / width }, (_, i) =>
    type === 'F32' ? view.getFloat32(4 * i, true) : f16Value(view.getUint16(2 * i, true)),
  )
  const scale = Math.abs(values.find(v => v !== 0) ?? 0)
  return values.every(v => v === 0 || Math.abs(v) === scale)
}

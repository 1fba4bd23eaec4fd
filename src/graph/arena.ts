/** Memory of intermediate tensors: blocks whose lifetimes do not meet may share bytes. */
import { roundUp } from '../lib/float.ts'

export interface Block {
  readonly bytes: number
  /** The steps that first write and last read it, inclusive. */
  first: number
  last: number
}

/**
 * Offsets for blocks, multiples of 64: largest first, each in the smallest gap between blocks with overlapping
 * lifetimes.
 * @param reuse false gives every block its own bytes (for tests)
 */
export function planArena(blocks: readonly Block[], reuse = true): { offsets: number[]; bytes: number } {
  const offsets = blocks.map(() => 0)
  const order = blocks
    .map((_, i) => i)
    .sort((a, b) => blocks[b]!.bytes - blocks[a]!.bytes || blocks[a]!.first - blocks[b]!.first || a - b)
  const placed: number[] = [] // by offset
  let bytes = 0
  for (const i of order) {
    const block = blocks[i]
    const size = roundUp(block!.bytes, 64)
    let at = -1
    let best = Infinity
    let end = 0
    for (const j of placed) {
      const other = blocks[j]
      if (reuse && (other!.last < block!.first || other!.first > block!.last)) continue
      const gap = offsets[j]! - end
      if (gap >= size && gap < best) [at, best] = [end, gap]
      end = Math.max(end, offsets[j]! + roundUp(other!.bytes, 64))
    }
    offsets[i] = at < 0 ? end : at
    bytes = Math.max(bytes, offsets[i] + size)
    const position = placed.findIndex(j => offsets[j]! > offsets[i]!)
    placed.splice(position < 0 ? placed.length : position, 0, i)
  }
  return { offsets, bytes }
}

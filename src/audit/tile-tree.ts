/**
 * The tree of a log as its writer holds it: the right edge, and the hashes of the incomplete tile of each level.
 * Growing returns a new tree and the completed tiles, so a failed write leaves the old tree unchanged.
 */
import { CompactRange, nodeHash } from '../trust/merkle.ts'
import { TILE_WIDTH } from '../trust/tiles.ts'

export interface FullTile {
  readonly level: number
  readonly index: number
  /** 256 hashes. */
  readonly bytes: Buffer
}

/** Gives the bytes of a full tile. */
export type TileReader = (level: number, index: number) => Uint8Array

/** Hashes of a tile, one by one. */
export function tileHashes(bytes: Uint8Array): Buffer[] {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: all.length / 32 }, (_, i) => all.subarray(i * 32, i * 32 + 32))
}

/** Hash of the whole subtree over a power of two of hashes: a full tile's hash in the level above. */
export function subtreeRoot(hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes
  while (row.length > 1) row = Array.from({ length: row.length / 2 }, (_, i) => nodeHash(row[2 * i]!, row[2 * i + 1]!))
  return row[0]!
}

export class TileTree {
  #range: CompactRange
  /** By level: the hashes of the tile that is being filled. */
  #open: Uint8Array[][]

  private constructor(range: CompactRange, open: Uint8Array[][]) {
    this.#range = range
    this.#open = open
  }

  static empty(): TileTree {
    return new TileTree(new CompactRange(), [])
  }

  /** The tree of `bundles` full bundles, from its full tiles. Reads at most 255 of each level. */
  static load(bundles: number, read: TileReader): TileTree {
    const open: Uint8Array[][] = [[]]
    for (let level = 0, full = bundles; full > 0; level++, full = Math.floor(full / TILE_WIDTH)) {
      const first = full - (full % TILE_WIDTH)
      open.push(Array.from({ length: full - first }, (_, i) => subtreeRoot(tileHashes(read(level, first + i)))))
    }
    const range = new CompactRange()
    for (let level = open.length - 1; level > 0; level--) for (const hash of open[level]!) range.append(hash, 8 * level)
    return new TileTree(range, open)
  }

  get size(): number {
    return this.#range.size
  }

  root(): Uint8Array {
    return this.#range.root()
  }

  /** Hashes of the tile of a level that is not full. */
  open(level: number): readonly Uint8Array[] {
    return this.#open[level] ?? []
  }

  /** The tree with more leaves, and the tiles that they filled, from the lowest level up. */
  grow(leaves: readonly Uint8Array[]): { tree: TileTree; full: FullTile[] } {
    const range = this.#range.clone()
    const open = this.#open.map(hashes => [...hashes])
    const full: FullTile[] = []
    for (const leaf of leaves) {
      range.append(leaf)
      let hash = leaf
      for (let level = 0; ; level++) {
        const hashes = (open[level] ??= [])
        hashes.push(hash)
        if (hashes.length < TILE_WIDTH) break
        full.push({ level, index: range.size / TILE_WIDTH ** (level + 1) - 1, bytes: Buffer.concat(hashes) })
        hash = subtreeRoot(hashes)
        open[level] = []
      }
    }
    return { tree: new TileTree(range, open), full }
  }
}

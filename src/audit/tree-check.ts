/**
 * Reads the bundles and tiles of a log and rebuilds its tree. If they disagree, it does so twice: from the entries, and
 * from the hash tiles. The one that gives the signed root is unchanged.
 */
import { join, relative } from 'node:path'
import type { Checkpoint } from '../trust/checkpoint.ts'
import { emptyRoot, leafHash } from '../trust/merkle.ts'
import { TILE_WIDTH, splitBundle, tilePath } from '../trust/tiles.ts'
import { CanonicalError } from './canonical-json.ts'
import { parseEntry } from './entry-schema.ts'
import { TILE_BYTES, readBounded } from './log-files.ts'
import { differenceOf } from './problems.ts'
import type { Difference, Problem } from './problems.ts'
import { readBundle, readCheckpoint } from './reader.ts'
import { TileTree, tileHashes } from './tile-tree.ts'

/** One of the two trees; undefined from the first bundle with unknown leaves. Tiles that disagree are recorded. */
interface Side {
  tree: TileTree | undefined
  roots: Map<number, Uint8Array>
  tiles: Problem[]
}

export class TreeCheck {
  #folder: string
  #checkpoint: Checkpoint
  #live: boolean
  #stops: number[]
  #report: (problem: Problem) => void
  #entries: Side
  /** The same object as #entries until they disagree. */
  #tiles: Side
  #differences: { file: string; tile: string; bundle: number; difference: Difference }[] = []
  #size = 0
  #time = ''
  #uncovered = 0

  /**
   * @param live whether this is a log's own folder, where partial tiles are not kept
   * @param sizes at which roots are wanted
   */
  constructor(
    folder: string,
    checkpoint: Checkpoint,
    live: boolean,
    sizes: readonly number[],
    report: (problem: Problem) => void
  ) {
    this.#folder = folder
    this.#checkpoint = checkpoint
    this.#live = live
    this.#stops = [...new Set(sizes)].filter(n => n <= checkpoint.size).toSorted((a, b) => a - b)
    this.#report = report
    this.#entries = { tree: TileTree.empty(), roots: new Map([[0, emptyRoot]]), tiles: [] }
    this.#tiles = this.#entries
  }

  /** Checks the next bundle; gives the number of entries passed. */
  next(): number {
    const bundle = this.#size / TILE_WIDTH
    const count = Math.min(TILE_WIDTH, this.#checkpoint.size - this.#size)
    const leaves = this.#leaves(bundle, count)
    const tile = this.#tile(0, bundle, count)
    if (leaves === undefined && tile === undefined) return this.#stop()
    const difference = leaves !== undefined && tile !== undefined ? differenceOf(leaves.hashes, tile) : undefined
    if (difference !== undefined)
      this.#differences.push({ file: leaves!.file, tile: tileFile(0, bundle, count), bundle, difference })
    if (leaves?.hashes.length !== count || difference !== undefined) this.#part()
    this.#grow(this.#entries, leaves?.hashes.length === count ? leaves.hashes : undefined)
    if (this.#tiles !== this.#entries)
      this.#grow(this.#tiles, tile ?? (leaves?.hashes.length === count ? leaves.hashes : undefined))
    this.#size += count
    return this.#size
  }

  /** A bundle is missing, so nothing after it can be verified. A false checkpoint may claim any number of bundles. */
  #stop(): number {
    for (const side of [this.#entries, this.#tiles]) side.tree = undefined
    this.#size = this.#checkpoint.size
    return this.#size
  }

  /** Classifies the findings. */
  finish(): { isSigned: boolean; rootAt: (size: number) => Uint8Array | undefined; uncovered: number } {
    if (!this.#live) for (const side of new Set([this.#entries, this.#tiles])) this.#checkPartial(side)
    const { size, root } = this.#checkpoint
    const isRight = (side: Side): boolean => side.tree?.size === size && Buffer.compare(side.tree.root(), root) === 0
    const right = [this.#entries, this.#tiles].find(isRight)
    for (const { file, tile, bundle, difference } of this.#differences) {
      const index = bundle * TILE_WIDTH + difference.at
      if (right === this.#entries)
        this.#report({
          kind: 'changed-tile',
          message: 'its hashes are not those of the entries, which give the signed root',
          file: tile,
          index
        })
      else this.#report({ ...sentence(difference, right === undefined), file, index })
    }
    for (const problem of (right ?? this.#tiles).tiles) this.#report(problem)
    const complete = [this.#entries, this.#tiles].some(side => side.tree !== undefined)
    if (right === undefined && complete && this.#differences.length === 0) this.#reportUnknownPlace()
    else if (right === undefined && complete)
      this.#report({ kind: 'root', message: 'neither the entries nor the hash tiles give the signed root' })
    const side = right ?? this.#entries
    return { isSigned: right !== undefined, rootAt: n => side.roots.get(n), uncovered: this.#uncovered }
  }

  /**
   * Entries and tiles agree with each other, but not with the signed root: the change is outside the full tiles, or
   * both were changed.
   */
  #reportUnknownPlace(): void {
    const { size } = this.#checkpoint
    const from = size - (size % TILE_WIDTH)
    const where =
      from < size
        ? `most likely one or more of the entries ${from} to ${size - 1}, for which there is no full tile`
        : 'tiles were changed along with the entries'
    const file = tilePath({ level: 'entries', index: Math.floor((size - 1) / TILE_WIDTH) })
    this.#report({
      kind: 'edited',
      message: `the entries do not give the signed root: ${where}`,
      ...(size === 0 ? {} : { file, index: from < size ? from : 0 })
    })
  }

  /** From here on, two trees. */
  #part(): void {
    if (this.#tiles === this.#entries)
      this.#tiles = { tree: this.#entries.tree, roots: new Map(this.#entries.roots), tiles: [...this.#entries.tiles] }
  }

  #leaves(bundle: number, count: number): { file: string; hashes: Buffer[] } | undefined {
    const first = bundle * TILE_WIDTH
    const found = readBundle(this.#folder, bundle, count)
    if (found === undefined) {
      this.#report({
        kind: 'truncated',
        message: `entries ${first} to ${first + count - 1} are missing with their file`,
        file: tilePath({ level: 'entries', index: bundle }),
        index: first
      })
      return undefined
    }
    const file = relative(this.#folder, found.path)
    if (found.bytes === 'unfit') {
      this.#report({ kind: 'torn', message: 'it is too long, or not a regular file', file, index: first })
      return undefined
    }
    const { entries, end } = splitBundle(found.bytes)
    const isOpen = file.endsWith('.open')
    if (end < found.bytes.length && (entries.length < count || !isOpen)) {
      this.#report({
        kind: 'torn',
        message: entries.length < count ? `entry ${first + entries.length} is torn` : 'bytes follow its last entry',
        file,
        index: first + entries.length
      })
    } else if (entries.length < count) {
      this.#report({
        kind: 'truncated',
        message: `it holds ${entries.length} entries, and the checkpoint covers ${count} of it`,
        file,
        index: first + entries.length
      })
    } else if (entries.length > count && !isOpen && !this.#hasGrown(first + entries.length)) {
      this.#report({
        kind: 'inserted',
        message: `it holds ${entries.length} entries, and the checkpoint covers ${count} of it`,
        file,
        index: first + count
      })
    }
    if (isOpen) this.#uncovered = Math.max(0, entries.length - count)
    for (const [i, entry] of entries.slice(0, count).entries()) this.#checkEntry(entry, first + i, file)
    return { file, hashes: entries.slice(0, count).map(leafHash) }
  }

  /**
   * Whether the log has grown to `size` since its checkpoint was read: then a bundle may hold more than that checkpoint
   * covers.
   */
  #hasGrown(size: number): boolean {
    return this.#live && readCheckpoint(this.#folder).checkpoint.size >= size
  }

  #checkEntry(bytes: Buffer, index: number, file: string): void {
    try {
      const { time } = parseEntry(bytes)
      if (time < this.#time)
        this.#report({
          kind: 'time-order',
          message: `entry ${index} has the time ${time}, and the one before it ${this.#time}`,
          file,
          index
        })
      this.#time = time
    } catch (e) {
      if (!(e instanceof CanonicalError)) throw e
      this.#report({ kind: 'entry', message: `entry ${index}: ${e.message}`, file, index })
    }
  }

  /** Hashes of a tile; undefined if none is expected, or if it cannot be read, which is reported. */
  #tile(level: number, index: number, width: number): Buffer[] | undefined {
    if (width === 0 || (width < TILE_WIDTH && this.#live)) return undefined
    const file = tileFile(level, index, width)
    const bytes = readBounded(join(this.#folder, file), TILE_BYTES)
    if (bytes instanceof Buffer && bytes.length === width * 32) return tileHashes(bytes)
    this.#report(
      bytes === undefined
        ? { kind: 'missing-tile', message: 'it is missing', file }
        : { kind: 'changed-tile', message: `it does not have ${width} hashes`, file }
    )
    return undefined
  }

  #grow(side: Side, leaves: readonly Uint8Array[] | undefined): void {
    if (leaves === undefined) side.tree = undefined
    if (side.tree === undefined || leaves === undefined) return
    const stops = this.#stops.filter(n => n > this.#size && n < this.#size + leaves.length).map(n => n - this.#size)
    let from = 0
    for (const to of [...stops, leaves.length]) {
      const { tree, full } = side.tree.grow(leaves.slice(from, to))
      from = to
      side.tree = tree
      if (this.#stops.includes(tree.size)) side.roots.set(tree.size, tree.root())
      for (const { level, index, bytes } of full) if (level > 0) this.#compare(side, level, index, bytes)
    }
  }

  #checkPartial(side: Side): void {
    const { size } = this.#checkpoint
    for (let level = 1; side.tree !== undefined && TILE_WIDTH ** level <= size; level++) {
      const hashes = side.tree.open(level)
      if (hashes.length > 0)
        this.#compare(side, level, Math.floor(size / TILE_WIDTH ** (level + 1)), Buffer.concat(hashes))
    }
  }

  /** Compares a tile above the leaves with the tree. */
  #compare(side: Side, level: number, index: number, expected: Buffer): void {
    const width = expected.length / 32
    const file = tileFile(level, index, width)
    const bytes = readBounded(join(this.#folder, file), TILE_BYTES)
    if (bytes === undefined) side.tiles.push({ kind: 'missing-tile', message: 'it is missing', file })
    else if (bytes === 'unfit' || !bytes.equals(expected))
      side.tiles.push({ kind: 'changed-tile', message: 'its hashes are not those of the tiles below', file })
  }
}

function tileFile(level: number, index: number, width: number): string {
  return tilePath({ level, index, ...(width < TILE_WIDTH ? { width } : {}) })
}

function sentence({ kind, count }: Difference, unsure: boolean): { kind: Problem['kind']; message: string } {
  const message = {
    deleted: 'an entry was taken out here',
    inserted: 'an entry was put in here',
    edited: `${count} of its entries are not those that were logged`,
    reordered: `${count} of its entries change places`,
    truncated: `${count} entries are missing at its end`
  }[kind]
  return { kind, message: unsure ? `${message}, or its hash tile was changed` : message }
}

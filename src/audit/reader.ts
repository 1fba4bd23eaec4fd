/**
 * Reads a log from its folder, or from an exported copy, while it may be written: entries, hashes of the tree, the
 * checkpoint. Needs no key, and trusts the files; verify.ts checks them.
 */
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { parseCheckpoint } from '../trust/checkpoint.ts'
import type { Checkpoint } from '../trust/checkpoint.ts'
import { leafHash } from '../trust/merkle.ts'
import { parseNote } from '../trust/signed-note.ts'
import { TILE_WIDTH, splitBundle, tilePath } from '../trust/tiles.ts'
import { CanonicalError } from './canonical-json.ts'
import type { AuditEntry } from './entry.ts'
import { parseEntry } from './entry-schema.ts'
import {
  BUNDLE_BYTES,
  TILE_BYTES,
  bundlePath,
  checkpointPath,
  openBundlePath,
  readBounded,
  readNoteFile
} from './log-files.ts'
import { subtreeRoot, tileHashes } from './tile-tree.ts'

export interface ReadEntry {
  readonly index: number
  readonly entry: AuditEntry
  /** In their order in the log. */
  readonly bytes: Buffer
}

const damaged = (file: string, problem: string): VeritError => new VeritError('VERIT_AUDIT_DAMAGED', { file, problem })

/** The checkpoint of a folder, its signatures unchecked. @throws VeritError VERIT_FILE_NOT_FOUND, VERIT_NOTE */
export function readCheckpoint(folder: string): { checkpoint: Checkpoint; note: string } {
  const path = checkpointPath(folder)
  const note = readNoteFile(path)
  if (note === undefined)
    throw new VeritError('VERIT_FILE_NOT_FOUND', { path, purpose: 'the checkpoint of an audit log' })
  return { checkpoint: parseCheckpoint(parseNote(note, path).text, path), note: note.toString('utf8') }
}

/**
 * A bundle under whichever name it has now: full, being filled, or partial with `width` entries. Undefined when it has
 * none, 'unfit' when it is longer than any bundle, or not a regular file.
 */
export function readBundle(
  folder: string,
  index: number,
  width: number
): { path: string; bytes: Buffer | 'unfit' } | undefined {
  const full = bundlePath(folder, index)
  // The first is read twice: the writer may be renaming the bundle at this moment.
  const paths = [
    full,
    openBundlePath(folder, index),
    full,
    ...(width < TILE_WIDTH ? [join(folder, tilePath({ level: 'entries', index, width }))] : [])
  ]
  for (const path of paths) {
    const bytes = readBounded(path, BUNDLE_BYTES + 2 + 0xffff)
    if (bytes !== undefined) return { path, bytes }
  }
  return undefined
}

/** The entries of one bundle; at least `count` must be there. @throws VeritError VERIT_AUDIT_DAMAGED */
function bundleEntries(folder: string, index: number, count: number): { path: string; entries: Buffer[] } {
  const found = readBundle(folder, index, count)
  const path = found?.path ?? bundlePath(folder, index)
  if (found === undefined || found.bytes === 'unfit')
    throw damaged(path, found === undefined ? 'it is missing' : 'it is too long, or not a regular file')
  const entries = splitBundle(found.bytes).entries.slice(0, count)
  if (entries.length < count) throw damaged(path, `it holds ${entries.length} whole entries, not ${count}`)
  return { path, entries }
}

export interface ReadRange {
  /** First index. Default 0. */
  from?: number
  /** Index after the last. Default: the size of the checkpoint. */
  to?: number
  /** From the last to the first. Default false. */
  backwards?: boolean
  /** Called with the number of entries passed, once a bundle. */
  onProgress?: (done: number) => void
}

/**
 * The entries that the checkpoint covers, in order, a bundle at a time in memory. @throws VeritError
 * VERIT_AUDIT_DAMAGED where one cannot be read
 */
export function* readEntries(folder: string, range: ReadRange = {}): Generator<ReadEntry> {
  const { size } = readCheckpoint(folder).checkpoint
  const [from, to] = [range.from ?? 0, Math.min(range.to ?? size, size)]
  const [first, last] = [Math.floor(from / TILE_WIDTH), Math.ceil(to / TILE_WIDTH) - 1]
  for (let step = 0; first + step <= last; step++) {
    const bundle = range.backwards === true ? last - step : first + step
    const { path, entries } = bundleEntries(folder, bundle, Math.min(TILE_WIDTH, size - bundle * TILE_WIDTH))
    const places = entries
      .map((bytes, i) => ({ index: bundle * TILE_WIDTH + i, bytes }))
      .filter(({ index }) => index >= from && index < to)
    for (const { index, bytes } of range.backwards === true ? places.toReversed() : places) {
      try {
        yield { index, entry: parseEntry(bytes), bytes }
      } catch (e) {
        throw e instanceof CanonicalError ? damaged(path, `entry ${index}: ${e.message}`) : e
      }
    }
    range.onProgress?.((step + 1) * TILE_WIDTH)
  }
}

/**
 * Hashes of whole nodes of the tree of `size` leaves, from tiles, or from entries if a tile is not full. Caches what it
 * has read.
 */
export class NodeReader {
  #folder: string
  #size: number
  #tiles = new Map<string, readonly Uint8Array[]>()

  constructor(folder: string, size: number) {
    this.#folder = folder
    this.#size = size
  }

  /** A NodeSource. @throws VeritError VERIT_AUDIT_DAMAGED */
  readonly node = (level: number, index: number): Uint8Array => {
    const tileLevel = Math.floor(level / 8)
    const span = 2 ** (level - 8 * tileLevel)
    const first = index * span
    const start = first % TILE_WIDTH
    return subtreeRoot(this.#tile(tileLevel, Math.floor(first / TILE_WIDTH)).slice(start, start + span))
  }

  #tile(level: number, index: number): readonly Uint8Array[] {
    const label = `${level}/${index}`
    const known = this.#tiles.get(label)
    if (known !== undefined) return known
    const width = Math.min(TILE_WIDTH, Math.floor(this.#size / TILE_WIDTH ** level) - index * TILE_WIDTH)
    const hashes = width === TILE_WIDTH ? this.#full(level, index) : this.#partial(level, index, width)
    this.#tiles.set(label, hashes)
    return hashes
  }

  #full(level: number, index: number): readonly Uint8Array[] {
    const path = join(this.#folder, tilePath({ level, index }))
    const bytes = readBounded(path, TILE_BYTES)
    if (bytes === undefined || bytes === 'unfit' || bytes.length !== TILE_BYTES)
      throw damaged(path, bytes === undefined ? 'it is missing' : 'it does not have 256 hashes')
    return tileHashes(bytes)
  }

  #partial(level: number, index: number, width: number): readonly Uint8Array[] {
    if (level === 0) return bundleEntries(this.#folder, index, width).entries.map(leafHash)
    return Array.from({ length: width }, (_, i) => subtreeRoot(this.#full(level - 1, index * TILE_WIDTH + i)))
  }
}

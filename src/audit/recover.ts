/**
 * The state of a log when its writer starts. Everything that the signed checkpoint covers must be there, to the bit.
 * Whole entries beyond it (a crash between sync and checkpoint) are kept; a torn end is cut off. Anything else is
 * damage, and the log signs nothing any more: it must never sign two checkpoints that do not continue each other.
 */
import { existsSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { openCheckpoint } from '../trust/checkpoint.ts'
import type { Checkpoint } from '../trust/checkpoint.ts'
import { leafHash, rootOf } from '../trust/merkle.ts'
import type { VerifierKey } from '../trust/note-key.ts'
import { TILE_WIDTH, splitBundle, tilePath } from '../trust/tiles.ts'
import { CanonicalError } from './canonical-json.ts'
import { IN_DATABASE, checkContinues } from './continues.ts'
import { parseEntry } from './entry-schema.ts'
import {
  BUNDLE_BYTES,
  TILE_BYTES,
  bundlePath,
  newestNotePath,
  openBundlePath,
  readBounded,
  readNoteFile
} from './log-files.ts'
import { NodeReader } from './reader.ts'
import { TileTree } from './tile-tree.ts'
import type { FullTile } from './tile-tree.ts'

export interface Recovered {
  /** Everything that is on disk in whole entries. */
  readonly tree: TileTree
  /** The bundle being filled. With 256 entries, it waits for its final name. */
  readonly bundle: number
  /** Bytes of its whole entries. */
  readonly length: number
  /** Tiles that its entries filled; their files may be missing. */
  readonly full: readonly FullTile[]
  /** Time of the last entry; '' if there is none. */
  readonly lastTime: string
  readonly checkpoint: Checkpoint
  /** The signed note. */
  readonly note: string
  /** Bytes that were cut off. */
  readonly cut: number
}

const damaged = (file: string, problem: string, cause?: unknown): VeritError =>
  new VeritError('VERIT_AUDIT_DAMAGED', { file, problem }, cause)

/**
 * Finds the state of the log in `folder` and cuts off a torn end.
 * @param known a signed checkpoint from elsewhere that the log must continue
 * @param repair false: leave a torn end
 * @throws VeritError VERIT_AUDIT_DAMAGED, VERIT_AUDIT_ROLLBACK
 */
export function recover(folder: string, log: VerifierKey, known?: string, repair = true): Recovered {
  const { checkpoint, note } = readCheckpoint(folder, log)
  let bundle = Math.floor(checkpoint.size / TILE_WIDTH)
  // The checkpoint of a full bundle comes before its final name.
  if (checkpoint.size % TILE_WIDTH === 0 && bundle > 0 && !existsSync(bundlePath(folder, bundle - 1))) bundle--
  if (existsSync(bundlePath(folder, bundle)))
    throw damaged(
      bundlePath(folder, bundle),
      `the checkpoint covers ${checkpoint.size} entries, and this bundle is after them`
    )
  const before = TileTree.load(bundle, (level, index) => readTile(folder, level, index))
  const promised = checkpoint.size - bundle * TILE_WIDTH

  const path = openBundlePath(folder, bundle)
  const bytes = readBounded(path, BUNDLE_BYTES + 2 + 0xffff) ?? Buffer.alloc(0)
  if (bytes === 'unfit') throw damaged(path, 'it is too long, or not a regular file')
  const { entries, times, length } = wholeEntries(bytes, promised, path)
  if (entries.length < promised)
    throw damaged(path, `it holds ${entries.length} whole entries, and the checkpoint promises ${promised}`)
  if (known !== undefined) {
    const rootAt = (size: number): Uint8Array => {
      if (size < before.size) return rootOf(size, new NodeReader(folder, before.size).node)
      return before.grow(entries.slice(0, size - before.size).map(leafHash)).tree.root()
    }
    const { checkpoint: remembered } = openCheckpoint(known, log, IN_DATABASE)
    checkContinues(folder, remembered, before.size + entries.length, rootAt)
  }
  if (length < bytes.length) {
    if (entries.length === TILE_WIDTH) throw damaged(path, 'it holds more than 256 entries')
    // durable with the next sync of this file, before anything after it is signed
    if (repair) truncateSync(path, length)
  }
  const { tree: promisedTree, full: promisedFull } = before.grow(entries.slice(0, promised).map(leafHash))
  if (Buffer.compare(promisedTree.root(), checkpoint.root) !== 0) {
    throw damaged(path, `the first ${checkpoint.size} entries do not give the root of the signed checkpoint`)
  }
  const { tree, full } = promisedTree.grow(entries.slice(promised).map(leafHash))
  const lastTime = times.at(-1) ?? lastTimeOf(folder, bundle - 1)
  return {
    tree,
    bundle,
    length,
    full: [...promisedFull, ...full],
    lastTime,
    checkpoint,
    note,
    cut: bytes.length - length
  }
}

function readCheckpoint(folder: string, log: VerifierKey): { checkpoint: Checkpoint; note: string } {
  const path = newestNotePath(folder)
  const data = readNoteFile(path)
  if (data === undefined) throw damaged(path, 'it is missing, too long, or not a regular file')
  try {
    return { checkpoint: openCheckpoint(data, log, path).checkpoint, note: data.toString('utf8') }
  } catch (e) {
    throw damaged(path, VeritError.is(e) ? e.what : 'it cannot be read', e)
  }
}

function readTile(folder: string, level: number, index: number): Buffer {
  const path = join(folder, tilePath({ level, index }))
  const bytes = readBounded(path, TILE_BYTES)
  if (bytes === undefined || bytes.length !== TILE_BYTES)
    throw damaged(path, bytes === undefined ? 'it is missing' : 'it does not have 256 hashes')
  return bytes as Buffer
}

/**
 * The whole entries at the start of a bundle. Beyond the checkpoint, the first that does not parse ends them: a crash
 * may leave blocks of zeros or garbage. Covered entries are judged by their hashes.
 */
function wholeEntries(
  bytes: Buffer,
  promised: number,
  path: string
): { entries: Buffer[]; times: string[]; length: number } {
  const { entries } = splitBundle(bytes)
  const times: string[] = []
  let length = 0
  for (const [i, entry] of entries.entries()) {
    try {
      times.push(parseEntry(entry).time)
    } catch (e) {
      if (!(e instanceof CanonicalError)) throw e
      if (i < promised) throw damaged(path, `its entry ${i}: ${e.message}`, e)
      return { entries: entries.slice(0, i), times, length }
    }
    length += 2 + entry.length
  }
  return { entries, times, length }
}

function lastTimeOf(folder: string, bundle: number): string {
  if (bundle < 0) return ''
  const path = bundlePath(folder, bundle)
  const bytes = readBounded(path, BUNDLE_BYTES)
  if (bytes === undefined || bytes === 'unfit') throw damaged(path, 'it is missing, too long, or not a regular file')
  const { entries, end } = splitBundle(bytes)
  if (entries.length !== TILE_WIDTH || end !== bytes.length) throw damaged(path, 'it does not have 256 entries')
  try {
    return parseEntry(entries.at(-1)!).time
  } catch (e) {
    throw damaged(path, `its last entry: ${e instanceof Error ? e.message : String(e)}`, e)
  }
}

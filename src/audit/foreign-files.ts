/** Looks for files that a log of this size does not have: `verify` must have checked every file in the folder. */
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { TILE_WIDTH, parseTilePath, splitBundle } from '../trust/tiles.ts'
import { isDay } from './day-secrets.ts'
import { openBundlePath, readBounded, BUNDLE_BYTES } from './log-files.ts'
import { readCheckpoint } from './reader.ts'

const TOP = new Set(['key', 'verifier-key', 'checkpoint', 'checkpoint.synced', 'cosigned', 'lock', 'lock-journal'])
const TEMPORARY = /^\.verit-\d+-[0-9a-f]{16}\.tmp$/

/**
 * Paths (relative) of files that do not belong. `live` is a log's own folder, in contrast to an exported copy, which
 * has partial tiles.
 */
export function foreignFiles(folder: string, live: boolean): string[] {
  const paths = [...walk(folder, '')]
  // Checked after the names: a log that grows meanwhile has no name that its checkpoint does not explain.
  const { size } = readCheckpoint(folder).checkpoint
  return paths
    .filter(
      path =>
        !path.endsWith('!') &&
        !belongs(path, size, live, folder) &&
        lstatSync(join(folder, path), { throwIfNoEntry: false }) !== undefined
    )
    .concat(paths.filter(path => path.endsWith('!')).map(path => path.slice(0, -1)))
}

/** All files below the folder; anything else, links included, has a `!` after its name. */
function* walk(folder: string, relative: string): Generator<string> {
  for (const entry of readdirSync(join(folder, relative), { withFileTypes: true })) {
    const path = relative === '' ? entry.name : `${relative}/${entry.name}`
    if (entry.isDirectory()) yield* walk(folder, path)
    else yield entry.isFile() ? path : `${path}!`
  }
}

function belongs(path: string, size: number, live: boolean, folder: string): boolean {
  const [top, name, ...more] = path.split('/')
  if (TEMPORARY.test(path.split('/').at(-1)!)) return live
  if (name === undefined) return live ? TOP.has(top!) : top === 'checkpoint' || top === 'cosigned'
  if (top === 'salts' || top === 'texts') return live && more.length === 0 && isDay(name)
  if (path.endsWith('.open')) return live && isOpenBundle(path, size)
  const place = parseTilePath(path)
  if (place === undefined) return false
  const span = TILE_WIDTH ** (place.level === 'entries' ? 1 : place.level + 1)
  if (place.width === undefined)
    return (
      (place.index + 1) * span <= size ||
      (live && place.level !== 'entries' && isUnderWay(place.index, span, size, folder))
    )
  const tile = span / TILE_WIDTH
  return !live && place.index === Math.floor(size / span) && place.width === Math.floor(size / tile) % TILE_WIDTH
}

/** The bundle being filled: the next, or the last one as long as it has not got its final name. */
function isOpenBundle(path: string, size: number): boolean {
  const place = parseTilePath(path.slice(0, -'.open'.length))
  if (place?.level !== 'entries' || place.width !== undefined) return false
  const next = Math.floor(size / TILE_WIDTH)
  return place.index === next || (size % TILE_WIDTH === 0 && place.index === next - 1)
}

/** A tile comes before the checkpoint that covers it: it may be there when the bundle is full. */
function isUnderWay(index: number, span: number, size: number, folder: string): boolean {
  const bundle = Math.floor(size / TILE_WIDTH)
  if ((index + 1) * span !== (bundle + 1) * TILE_WIDTH) return false
  const bytes = readBounded(openBundlePath(folder, bundle), BUNDLE_BYTES)
  return bytes instanceof Buffer && splitBundle(bytes).entries.length === TILE_WIDTH
}

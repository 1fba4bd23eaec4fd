/**
 * The files of a tiled log (C2SP tlog-tiles): hash tiles `tile/L/N` of 256 hashes and entry bundles `tile/entries/N` of
 * 256 entries, each entry after its length in two bytes, big-endian. N is written in groups of three digits, all but
 * the last behind an x; `.p/W` marks the W first of a partial one.
 */
import { VeritError, invariant } from '../lib/errors.ts'
import { strictInteger } from './checkpoint.ts'

/** Hashes of a full tile, entries of a full bundle. */
export const TILE_WIDTH = 256
/** Longest entry that its length can tell. */
export const ENTRY_LIMIT = 0xffff

export interface TilePlace {
  /** 0 to 63, or the bundles of entries. */
  readonly level: number | 'entries'
  readonly index: number
  /** 1 to 255 of a partial one, else absent. */
  readonly width?: number
}

/** `x001/x234/067` for 1234067. */
export function tileNumber(index: number): string {
  invariant(Number.isSafeInteger(index) && index >= 0, `a tile has no number ${index}`)
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0')
  return digits
    .match(/.{3}/g)!
    .map((group, i, all) => (i < all.length - 1 ? `x${group}` : group))
    .join('/')
}

/** `tile/0/x001/234`, or `tile/entries/000.p/12`. */
export function tilePath({ level, index, width }: TilePlace): string {
  return `tile/${level}/${tileNumber(index)}${width === undefined ? '' : `.p/${width}`}`
}

/** Reads a path; undefined when it is not the one form of a tile's path. */
export function parseTilePath(path: string): TilePlace | undefined {
  const match = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path)
  if (match === null) return undefined
  const index = Number(match[2]!.replace(/[x/]/g, ''))
  const level = match[1] === 'entries' ? 'entries' : strictInteger(match[1]!)
  const width = match[3] === undefined ? undefined : strictInteger(match[3])
  if (level === undefined || (level !== 'entries' && level > 63) || !Number.isSafeInteger(index)) return undefined
  if (match[3] !== undefined && (width === undefined || width < 1 || width >= TILE_WIDTH)) return undefined
  const place: TilePlace = { level, index, ...(width === undefined ? {} : { width }) }
  return tilePath(place) === path ? place : undefined
}

/** An entry with its length before it. */
export function frameEntry(entry: Uint8Array): Buffer {
  invariant(entry.length <= ENTRY_LIMIT, `an entry of ${entry.length} bytes does not fit`)
  const framed = Buffer.allocUnsafe(2 + entry.length)
  framed.writeUInt16BE(entry.length)
  framed.set(entry, 2)
  return framed
}

/**
 * Cuts a bundle into its whole entries, at most 256; `end` is where they end: less than the length when the rest is
 * torn or too much.
 */
export function splitBundle(bytes: Uint8Array): { entries: Buffer[]; end: number } {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const entries: Buffer[] = []
  let end = 0
  while (entries.length < TILE_WIDTH && end + 2 <= all.length) {
    const next = end + 2 + all.readUInt16BE(end)
    if (next > all.length) break
    entries.push(all.subarray(end + 2, next))
    end = next
  }
  return { entries, end }
}

/** A bundle or tile that has exactly the form it must have. @throws VeritError VERIT_NOTE naming `source` */
export function parseBundle(bytes: Uint8Array, count: number, source: string): Buffer[] {
  const { entries, end } = splitBundle(bytes)
  if (entries.length !== count || end !== bytes.length) {
    throw new VeritError('VERIT_NOTE', {
      source,
      problem: `it holds ${entries.length} whole entries in ${end} of ${bytes.length} bytes, not ${count}`
    })
  }
  return entries
}

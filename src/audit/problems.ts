/**
 * The problems that `verify` can find, and how it tells a changed bundle from a shortened, lengthened or shuffled one.
 */

export type ProblemKind =
  /** The checkpoint, or an older one, is missing or malformed. */
  | 'checkpoint'
  /** It is signed, but not by the key of the log. */
  | 'wrong-key'
  /** A signature of a known key is not valid. */
  | 'signature'
  /** A witness that was asked for has not cosigned. */
  | 'witness'
  /** Entries that the checkpoint covers are not there. */
  | 'truncated'
  /** A bundle ends within an entry, or continues after its last. */
  | 'torn'
  | 'deleted'
  | 'inserted'
  | 'edited'
  | 'reordered'
  | 'missing-tile'
  | 'changed-tile'
  /** Entries and tiles do not give the signed root. */
  | 'root'
  /** An older checkpoint covers more than there is now. */
  | 'rollback'
  /** The log has signed two histories. */
  | 'fork'
  /** An entry does not fit the schema. */
  | 'entry'
  | 'time-order'
  | 'foreign-file'

export interface Problem {
  readonly kind: ProblemKind
  /** One sentence without a full stop. Names from files are not escaped: escape before printing. */
  readonly message: string
  /** Relative to the folder. */
  readonly file?: string
  /** Index of the first entry concerned. */
  readonly index?: number
}

/** A bundle whose entries are not those of its hash tile. */
export interface Difference {
  readonly kind: 'deleted' | 'inserted' | 'edited' | 'reordered' | 'truncated'
  /** Place in the bundle of the first entry that differs. */
  readonly at: number
  /** Entries that differ at the same index. */
  readonly count: number
}

/** Compares hashes of entries with those that the tile has; undefined when they are the same. */
export function differenceOf(entries: readonly Uint8Array[], tile: readonly Uint8Array[]): Difference | undefined {
  const [a, b] = [entries, tile].map(list => list.map(h => Buffer.from(h).toString('hex'))) as [string[], string[]]
  const at = a.findIndex((h, i) => h !== b[i])
  if (at < 0 && a.length === b.length) return undefined
  if (at < 0)
    return {
      kind: a.length < b.length ? 'truncated' : 'inserted',
      at: Math.min(a.length, b.length),
      count: Math.abs(a.length - b.length)
    }
  const count = a.filter((h, i) => h !== b[i]).length
  const begins = (list: string[], start: number, other: string[], from: number): boolean =>
    list.slice(start).every((h, i) => other[from + i] === undefined || h === other[from + i]) && list.length > start
  if (a.length === b.length && a.toSorted().join() === b.toSorted().join()) return { kind: 'reordered', at, count }
  if (begins(b, at + 1, a, at)) return { kind: 'deleted', at, count: 1 }
  if (begins(a, at + 1, b, at)) return { kind: 'inserted', at, count: 1 }
  return { kind: 'edited', at, count }
}

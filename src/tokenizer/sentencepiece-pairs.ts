/**
 * The merges that a list of pieces implies: a and b, each a piece or a single character, can be merged when a followed
 * by b is a piece. Symbols are numbered: pieces by their ids, then the characters that occur in pieces without being
 * one, then one number for every other character.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { PairIndex } from './pairs.ts'
import { NORMAL } from './parts.ts'
import { isMergeable } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'
import { TokenIds } from './token-ids.ts'

export interface SentencePiecePairs {
  readonly pairs: PairIndex
  /** By pair: the piece it makes, and the rank of that piece: 0 for the highest score, the same for the same score. */
  readonly results: Int32Array
  readonly ranks: Int32Array | undefined
  /** Symbol of a character. */
  symbol(codePoint: number): number
}

const PLANE = 0x10000

/**
 * @param tokens ids of the pieces
 * @param source name in errors
 * @throws VeritError VERIT_TOKENIZER_FILE for a merge of texts that are not pieces
 */
export function pairsOf(
  { pieces, scores, types, merges }: SentencePieceParts,
  tokens: TokenIds,
  source: string
): SentencePiecePairs {
  const low = new Int32Array(PLANE).fill(-1)
  const high = new Map<number, number>()
  const symbolOf = (p: number): number => (p < PLANE ? low[p]! : (high.get(p) ?? -1))
  const name = (p: number, symbol: number): void => {
    if (p < PLANE) low[p] = symbol
    else high.set(p, symbol)
  }
  for (let id = 0; id < pieces.length; id++) {
    const p = pieces[id]!.codePointAt(0)
    if (p === undefined || pieces[id]!.length !== unitsOf(p) || !isMergeable(types[id]!)) continue
    if (symbolOf(p) < 0) name(p, id) // of pieces spelled alike, the first counts
  }

  const characters: string[] = []
  if (merges === undefined)
    for (let id = 0; id < pieces.length; id++) {
      const piece = pieces[id]!
      if (!isMergeable(types[id]!)) continue
      for (let i = 0; i < piece.length;) {
        const p = piece.codePointAt(i)!
        if (symbolOf(p) < 0) name(p, pieces.length + characters.push(String.fromCodePoint(p)) - 1)
        i += unitsOf(p)
      }
    }

  const made =
    merges === undefined ? byScore(pieces, types, scores, characters) : byRank(pieces, types, merges, tokens, source)

  const other = pieces.length + characters.length
  for (let p = 0; p < PLANE; p++) if (low[p]! < 0) low[p] = other
  return {
    ...made,
    symbol: p => (p < PLANE ? low[p]! : (high.get(p) ?? other))
  }
}

/** UTF-16 units of a code point. */
const unitsOf = (p: number): number => (p >= PLANE ? 2 : 1)

type Made = Pick<SentencePiecePairs, 'pairs' | 'results' | 'ranks'>

/**
 * Merges implied by the pieces, best score first. @param characters that are not pieces, as the symbols after pieces
 */
function byScore(
  pieces: readonly string[],
  types: ArrayLike<number>,
  scores: ArrayLike<number>,
  characters: readonly string[]
): Made {
  const symbols = new TokenIds(pieces.map((piece, id) => (isMergeable(types[id]!) ? piece : '')).concat(characters))
  const ids: number[] = []
  for (let id = 0; id < pieces.length; id++) {
    if (isMergeable(types[id]!) && symbols.get(pieces[id]!) === id) ids.push(id)
  }
  const sorted = Float64Array.from(ids, id => -scores[id]!).sort()
  const distinct = sorted.filter((score, i) => i === 0 || score !== sorted[i - 1])
  const pairs = new PairIndex(4 * ids.length)
  const results: number[] = []
  const ranks: number[] = []
  for (const id of ids) {
    const rank = firstFrom(distinct, -scores[id]!)
    symbols.splits(pieces[id]!, (left, right) => {
      pairs.add(left, right)
      results.push(id)
      ranks.push(rank)
    })
  }
  return { pairs, results: Int32Array.from(results), ranks: Int32Array.from(ranks) }
}

/** Index of the first of ascending values that is not below one. */
function firstFrom(values: Float64Array, value: number): number {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Merges that a file gives. Of merges of one pair, the first counts; one that makes no normal piece, or joins line
 * feeds with others, is left out.
 */
function byRank(
  pieces: readonly string[],
  types: ArrayLike<number>,
  merges: readonly string[],
  ids: TokenIds,
  source: string
): Made {
  const pairs = new PairIndex(merges.length)
  const results = new Int32Array(merges.length)
  for (let rank = 0; rank < merges.length; rank++) {
    const merge = merges[rank]!
    const space = merge.indexOf(' ', 1)
    const left = space < 0 ? -1 : ids.find(merge, 0, space)
    const right = space < 0 ? -1 : ids.find(merge, space + 1, merge.length)
    const result = left < 0 || right < 0 ? -1 : ids.joined(left, right)
    if (result < 0) {
      throw new VeritError('VERIT_TOKENIZER_FILE', {
        source,
        problem: `merge ${rank} ("${printable(merge, 80)}") does not join two tokens into a third`
      })
    }
    if (types[result] !== NORMAL || (merge.includes('\n') && /[^\n]/.test(pieces[result]!))) continue
    const next = pairs.size
    if (pairs.add(left, right) === next) results[next] = result
  }
  return { pairs, results: results.subarray(0, pairs.size), ranks: undefined }
}

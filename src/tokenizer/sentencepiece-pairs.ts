/**
 * The merges that a list of pieces implies: a and b, each a piece or a single character, can be merged when a followed by b is a piece. Symbols are numbered:
 * pieces by their ids, then the characters that occur in pieces without being one, then one number for every other character.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { PairIndex } from './pairs.ts'
import { NORMAL } from './parts.ts'
import { isMergeable } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'
import type { TokenIds } from './token-ids.ts'

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
 * @param source what errors name
 * @throws VeritError VERIT_TOKENIZER_FILE for a merge of texts that are no pieces
 */
export function pairsOf({ pieces, scores, types, merges }: SentencePieceParts, tokens: TokenIds, source: string): SentencePiecePairs {
  // Where merges are given, only single characters are looked up.
  const longest = merges === undefined ? Infinity : 2
  const ids = new Map<string, number>()
  for (let id = 0; id < pieces.length; id++) if (pieces[id]!.length <= longest && isMergeable(types[id]!) && !ids.has(pieces[id]!)) ids.set(pieces[id]!, id)

  const characters = new Map<string, number>()
  if (merges === undefined) for (const piece of ids.keys()) {
    for (const character of piece) if (!ids.has(character) && !characters.has(character)) characters.set(character, pieces.length + characters.size)
  }

  const made = merges === undefined ? byScore(ids, characters, scores) : byRank(pieces, types, merges, tokens, source)

  const other = pieces.length + characters.size
  const low = new Int32Array(PLANE).fill(other), high = new Map<number, number>()
  const all = [...characters].concat([...ids].filter(([piece]) => piece.length <= 2 && piece.length === (piece.codePointAt(0)! >= PLANE ? 2 : 1)))
  for (const [character, symbol] of all) {
    const p = character.codePointAt(0)!
    if (p < PLANE) low[p] = symbol
    else high.set(p, symbol)
  }
  return {
    ...made,
    symbol: p => (p < PLANE ? low[p]! : high.get(p) ?? other),
  }
}

type Made = Pick<SentencePiecePairs, 'pairs' | 'results' | 'ranks'>

/** Merges that pieces imply, best score first. @param characters symbols of characters that are no pieces */
function byScore(ids: ReadonlyMap<string, number>, characters: ReadonlyMap<string, number>, scores: ArrayLike<number>): Made {
  const rankOfScore = new Map([...new Set(Array.from(ids.values(), id => scores[id]!))].sort((a, b) => b - a).map((score, rank) => [score, rank]))
  const pairs = new PairIndex(4 * ids.size)
  const results: number[] = [], ranks: number[] = []
  const symbolOf = (text: string): number | undefined => ids.get(text) ?? characters.get(text)
  for (const [piece, id] of ids) {
    const rank = rankOfScore.get(scores[id]!)!
    for (let i = 1; i < piece.length; i++) {
      const left = symbolOf(piece.slice(0, i))
      const right = left === undefined ? undefined : symbolOf(piece.slice(i))
      if (right === undefined) continue
      pairs.add(left!, right)
      results.push(id)
      ranks.push(rank)
    }
  }
  return { pairs, results: Int32Array.from(results), ranks: Int32Array.from(ranks) }
}

/** Merges that a file gives. Of merges of one pair, the first counts; one that makes no normal piece, or joins line feeds with others, is left out. */
function byRank(pieces: readonly string[], types: ArrayLike<number>, merges: readonly string[], ids: TokenIds, source: string): Made {
  const pairs = new PairIndex(merges.length)
  const results = new Int32Array(merges.length)
  for (let rank = 0; rank < merges.length; rank++) {
    const merge = merges[rank]!
    const space = merge.indexOf(' ', 1)
    const left = space < 0 ? -1 : ids.find(merge, 0, space)
    const right = space < 0 ? -1 : ids.find(merge, space + 1, merge.length)
    const result = left < 0 || right < 0 ? -1 : ids.joined(left, right)
    if (result < 0) {
      throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem: `merge ${rank} ("${printable(merge, 80)}") does not join two tokens into a third` })
    }
    if (types[result] !== NORMAL || (merge.includes('\n') && /[^\n]/.test(pieces[result]!))) continue
    const next = pairs.size
    if (pairs.add(left, right) === next) results[next] = result
  }
  return { pairs, results: results.subarray(0, pairs.size), ranks: undefined }
}

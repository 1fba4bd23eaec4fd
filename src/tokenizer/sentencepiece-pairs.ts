/**
 * The merges that a list of pieces implies: a and b, each a piece or a single character, can be merged when a followed by b is a piece. Symbols are numbered:
 * pieces by their ids, then the characters that occur in pieces without being one, then one number for every other character.
 */
import { PairIndex } from './pairs.ts'
import { isMergeable } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'

export interface SentencePiecePairs {
  readonly pairs: PairIndex
  /** By pair: the piece it makes, and the rank of that piece: 0 for the highest score, the same for the same score. */
  readonly results: Int32Array
  readonly ranks: Int32Array
  /** Symbol of a character. */
  symbol(codePoint: number): number
}

const PLANE = 0x10000

export function pairsOf({ pieces, scores, types }: SentencePieceParts): SentencePiecePairs {
  const ids = new Map<string, number>()
  for (let id = 0; id < pieces.length; id++) if (isMergeable(types[id]!) && !ids.has(pieces[id]!)) ids.set(pieces[id]!, id)

  const characters = new Map<string, number>()
  for (const piece of ids.keys()) {
    for (const character of piece) if (!ids.has(character) && !characters.has(character)) characters.set(character, pieces.length + characters.size)
  }

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

  const other = pieces.length + characters.size
  const low = new Int32Array(PLANE).fill(other), high = new Map<number, number>()
  const all = [...characters].concat([...ids].filter(([piece]) => piece.length <= 2 && piece.length === (piece.codePointAt(0)! >= PLANE ? 2 : 1)))
  for (const [character, symbol] of all) {
    const p = character.codePointAt(0)!
    if (p < PLANE) low[p] = symbol
    else high.set(p, symbol)
  }
  return {
    pairs, results: Int32Array.from(results), ranks: Int32Array.from(ranks),
    symbol: p => (p < PLANE ? low[p]! : high.get(p) ?? other),
  }
}

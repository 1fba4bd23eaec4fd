/**
 * Where a text can be cut without changing what a SentencePiece tokenizer makes of it: no merge and no user-defined piece reaches over the cut. What lies
 * between two cuts is a word, and words come again and again.
 */
import { USER_DEFINED } from './parts.ts'
import { isMergeable, SPACE_MARK } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'

const MARK = SPACE_MARK.charCodeAt(0)
/** Kinds of UTF-16 units: within longer pieces; a space or its mark; in none but pieces of one character. */
const INNER = 0, SPACE = 1, ALONE = 2

export class SentencePieceWords {
  /**
   * Whether a text can be cut before each space that follows something else. Not so when a piece has a space after another character; and with pieces that are
   * not used it matters what stands elsewhere in a text.
   */
  readonly atSpaces: boolean
  #kinds = new Uint8Array(0x10000).fill(ALONE)

  /** @param unusedMade whether merges make pieces that are not used */
  constructor({ pieces, types }: SentencePieceParts, unusedMade: boolean) {
    const kinds = this.#kinds
    let crossed = false
    kinds.fill(INNER, 0xd800, 0xe000)
    for (let id = 0; id < pieces.length; id++) {
      const piece = pieces[id]!
      if (types[id] !== USER_DEFINED && !(isMergeable(types[id]!) && piece.length > 1)) continue
      for (let i = 0; i < piece.length; i++) kinds[piece.charCodeAt(i)] = INNER
      crossed ||= /[^ \u2581][ \u2581]/.test(piece)
    }
    kinds[0x20] = kinds[MARK] = SPACE
    this.atSpaces = !crossed && !unusedMade
  }

  /** End of the word that begins at `start`, where `atSpaces`. */
  end(text: string, start: number): number {
    const kinds = this.#kinds
    let before = kinds[text.charCodeAt(start)]!
    let end = start + 1
    if (before === ALONE) return end
    for (; end < text.length; end++) {
      const kind = kinds[text.charCodeAt(end)]!
      if (kind !== before && kind !== INNER) break
      before = kind
    }
    return end
  }
}

/**
 * Positions where a text can be cut without changing its SentencePiece tokens: no merge and no user-defined piece spans
 * the cut. The text between two cuts is a word, and words repeat.
 */
import { USER_DEFINED } from './parts.ts'
import { isMergeable, SPACE_MARK } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'

const MARK = SPACE_MARK.charCodeAt(0)
const LINE_FEED = 10
/** Kinds of UTF-16 units: within longer pieces; a space or its mark; in none but pieces of one character. */
const INNER = 0
const SPACE = 1
const ALONE = 2

export class SentencePieceWords {
  /**
   * Whether a text can be cut before each space that follows something else. Not so when a piece has a space after
   * another character; and with pieces that are not used it matters what stands elsewhere in a text.
   */
  readonly atSpaces: boolean
  #kinds = new Uint8Array(0x10000).fill(ALONE)

  /** Whether a run of line feeds is a separate word (Gemma 4). */
  readonly lines: boolean

  /** @param unusedMade whether merges make pieces that are not used */
  constructor({ pieces, types, merges }: SentencePieceParts, unusedMade: boolean) {
    this.lines = merges !== undefined
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

  /** Whether words are short, and come again. */
  get areShort(): boolean {
    return this.atSpaces || this.lines
  }

  /** End of the word that begins at `start`. */
  end(text: string, start: number): number {
    if (!this.areShort) return text.length
    const kinds = this.#kinds
    const line = this.lines ? LINE_FEED : -1
    let before = kinds[text.charCodeAt(start)]!
    let end = start + 1
    if (text.charCodeAt(start) === line) {
      while (text.charCodeAt(end) === line) end++
      return end
    }
    if (this.atSpaces && before === ALONE) return end
    for (; end < text.length; end++) {
      const unit = text.charCodeAt(end)
      const kind = kinds[unit]!
      if (unit === line || (this.atSpaces && kind !== before && kind !== INNER)) break
      before = kind
    }
    return end
  }
}

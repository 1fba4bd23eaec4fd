/**
 * Encodes with a SentencePiece tokenizer a text that arrives in pieces: it is cut before spaces, where no merge
 * crosses, once enough has come.
 */
import type { EncodeStream } from './text-tokenizer.ts'

/** A part is encoded when this many UTF-16 units have come, and cut anywhere when this many have no place to cut. */
const PART = 1 << 16
const LONGEST = 1 << 20

export class SentencePieceStream implements EncodeStream {
  #splits: boolean
  #encode: (text: string, first: boolean, last: boolean) => Int32Array<ArrayBuffer>
  #rest = ''
  #first = true
  /** Length at which the rest is looked at again. */
  #threshold = PART

  /**
   * @param splits whether the text may be cut before a space; if not, it is only cut when it is longer than 2^20 units
   * @param encode takes a part, and whether it is the first and the last
   */
  constructor(splits: boolean, encode: (text: string, first: boolean, last: boolean) => Int32Array<ArrayBuffer>) {
    this.#splits = splits
    this.#encode = encode
  }

  push(piece: string): Int32Array<ArrayBuffer> {
    const done: Int32Array[] = []
    for (let i = 0; i < piece.length; i += LONGEST) {
      this.#rest += piece.length <= LONGEST ? piece : piece.slice(i, i + LONGEST)
      while (this.#rest.length >= this.#threshold) {
        const cut = this.#cut()
        if (cut === 0) {
          this.#threshold = 2 * this.#rest.length
          break
        }
        done.push(this.#encode(this.#rest.slice(0, cut), this.#first, false))
        this.#rest = this.#rest.slice(cut)
        this.#first = false
        this.#threshold = PART
      }
    }
    return joined(done)
  }

  end(): Int32Array<ArrayBuffer> {
    const ids = this.#encode(this.#rest, this.#first, true)
    this.#rest = ''
    this.#first = true
    this.#threshold = PART
    return ids
  }

  /** Where the last word that is known to be whole ends: before a space that follows something else. 0: nowhere yet. */
  #cut(): number {
    const text = this.#rest
    const space = (i: number): boolean => text[i] === ' ' || text[i] === '\u2581'
    if (this.#splits) for (let i = text.length - 1; i > 0; i--) if (space(i) && !space(i - 1)) return i
    if (text.length < LONGEST) return 0
    // Never between the halves of a surrogate pair.
    return text.codePointAt(LONGEST - 1)! > 0xffff ? LONGEST - 1 : LONGEST
  }
}

function joined(parts: readonly Int32Array[]): Int32Array<ArrayBuffer> {
  const all = new Int32Array(parts.reduce((sum, p) => sum + p.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

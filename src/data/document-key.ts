/**
 * Identity of a document: the SHA-256 of its text with every run of whitespace as one space and both ends trimmed.
 * Deduplication and the split by content use it, so a copy with other line breaks is a copy.
 */
import { createHash } from 'node:crypto'

export class DocumentKey {
  #hash = createHash('sha256')
  #started = false
  #space = false

  /** Takes the next piece of the document (which does not cut a surrogate pair). */
  push(piece: string): void {
    let text = piece.replace(/\p{White_Space}+/gu, ' ')
    if (text.startsWith(' ')) {
      this.#space = this.#started
      text = text.slice(1)
    }
    if (text === '') return
    if (this.#space) this.#hash.update(' ')
    this.#space = text.endsWith(' ')
    if (this.#space) text = text.slice(0, -1)
    this.#hash.update(text, 'utf8')
    this.#started = true
  }

  /** Ends the document and returns its 32-byte key, or undefined when it held nothing but whitespace. */
  end(): Buffer | undefined {
    const key = this.#started ? this.#hash.digest() : undefined
    this.#hash = createHash('sha256')
    this.#started = false
    this.#space = false
    return key
  }
}

/**
 * Cuts a text that arrives in pieces into the same words as the whole text, in bounded memory: a word is emitted once
 * no later character can change its end. A word longer than `longest` UTF-16 units is cut there, the only case in which
 * pieces and whole could differ.
 */
import { isOf } from './classes.ts'
import type { Pretokenizer } from './pretokenizer.ts'

/** How far a pre-tokenizer looks past the end of a word, in UTF-16 units. */
const LOOKAHEAD = 4

/** A piece is worked on in parts of at most this many UTF-16 units. */
const PART = 1 << 20

/** Receives text[start, end). */
export type WordSink = (text: string, start: number, end: number) => void

export class WordStream {
  #pretokenizer: Pretokenizer
  #sink: WordSink
  #longest: number
  #rest = ''
  /**
   * Length at which the rest is looked at again: doubled, so that a long word in tiny pieces is not scanned once a
   * piece.
   */
  #threshold = 0

  /** @param longest longest word in UTF-16 units. Default 1,048,576. */
  constructor(pretokenizer: Pretokenizer, sink: WordSink, longest = 1 << 20) {
    this.#pretokenizer = pretokenizer
    this.#sink = sink
    this.#longest = longest
  }

  /** Takes the next piece of the text, of any length. */
  push(piece: string): void {
    for (let i = 0; i < piece.length; i += PART) {
      this.#rest += piece.length <= PART ? piece : piece.slice(i, i + PART)
      if (this.#rest.length >= this.#threshold) this.#scan()
    }
  }

  #scan(): void {
    const text = this.#rest
    const seen = this.#seen(text)
    let start = 0
    while (start < text.length) {
      const end = this.#pretokenizer.wordEnd(text, start)
      if (end + LOOKAHEAD > seen && end - start <= this.#longest) break
      start = this.#emit(text, start, end)
    }
    this.#rest = text.slice(start)
    this.#threshold = Math.max(4096, 2 * this.#rest.length)
  }

  /** Where the text ends that no later piece can change the words of, but for the look-ahead. */
  #seen(text: string): number {
    const { looksThrough } = this.#pretokenizer
    let seen = text.length
    // Half a surrogate pair can become anything.
    if (seen > 0 && (text.charCodeAt(seen - 1) & 0xfc00) === 0xd800) seen--
    while (seen > 0) {
      const pair = seen > 1 && text.codePointAt(seen - 2)! > 0xffff
      if (!isOf(text.codePointAt(pair ? seen - 2 : seen - 1)!, looksThrough)) break
      seen -= pair ? 2 : 1
    }
    return seen
  }

  /** Ends the text: emits held-back words. The stream can then take another text. */
  end(): void {
    this.#scan()
    const text = this.#rest
    this.#rest = ''
    this.#threshold = 0
    for (let start = 0; start < text.length;) start = this.#emit(text, start, this.#pretokenizer.wordEnd(text, start))
  }

  #emit(text: string, start: number, end: number): number {
    if (end - start > this.#longest) {
      end = start + this.#longest
      // Never between the halves of a surrogate pair.
      if (text.codePointAt(end - 1)! > 0xffff) end--
    }
    this.#sink(text, start, end)
    return end
  }
}

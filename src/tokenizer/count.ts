/**
 * Counts the words of a text for training, in bounded memory: words are cut at `LONGEST_WORD` units, and when the table
 * is full, the rarest words go (all of count 1, then 2, ... until half of it is free). The result depends on the text
 * and its order alone.
 */
import type { Pretokenizer } from './pretokenizer.ts'
import { WordStream } from './words.ts'

/** Longest word in training, in UTF-16 units: no token gets longer, and no word costs more than a line of text. */
const LONGEST_WORD = 64

/** A copy that does not keep the text it was cut from alive (V8 makes slices of 13 units or more as views). */
export function detach(word: string): string {
  return word.length < 13 ? word : Buffer.from(word, 'utf16le').toString('utf16le')
}

export class WordCounter {
  #words: WordStream
  #counts = new Map<string, number>()
  #capacity: number
  #floor = 0
  /** UTF-16 units of all words kept: at most 16 times the capacity. */
  #units = 0

  /**
   * @param capacity most distinct words kept. Default 1,000,000 (up to 600 MB while training on words no text has, a
   * quarter on prose).
   */
  constructor(pretokenizer: Pretokenizer, capacity = 1_000_000) {
    this.#capacity = capacity
    this.#words = new WordStream(pretokenizer, (text, start, end) => {
      for (let i = start; i < end;) {
        let stop = Math.min(end, i + LONGEST_WORD)
        if (stop < end && text.codePointAt(stop - 1)! > 0xffff) stop--
        this.#count(text.slice(i, stop))
        i = stop
      }
    })
  }

  /** Takes the next piece of a document. */
  push(piece: string): void {
    this.#words.push(piece)
  }

  /** Ends a document: no word crosses its end. */
  end(): void {
    this.#words.end()
  }

  #count(word: string): void {
    const before = this.#counts.get(word)
    if (before !== undefined) {
      this.#counts.set(word, before + 1)
      return
    }
    if (this.#counts.size >= this.#capacity || this.#units >= 16 * this.#capacity) this.#forget()
    this.#counts.set(detach(word), 1)
    this.#units += word.length
  }

  #forget(): void {
    while (this.#counts.size > this.#capacity / 2 || this.#units > 8 * this.#capacity) {
      this.#floor++
      for (const [word, count] of this.#counts) {
        if (count > this.#floor) continue
        this.#counts.delete(word)
        this.#units -= word.length
      }
    }
  }

  /** Words and how often each was seen, in no particular order. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts
  }
}

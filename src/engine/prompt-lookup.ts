/**
 * Guesses the next tokens of a text from the text itself: where its last tokens stood before, what followed them then may follow again (prompt lookup decoding; A. Saxena, 2023). Good at
 * copies, edits, quotations and loops. Whoever uses a guess has the model verify it.
 */
import { GuessRecord, LONGEST } from './guess-record.ts'

/** Numbers of last tokens that are looked for, the longest first. */
const ORDERS = [8, 4, 3, 2]
const MOST_SLOTS = 1 << 17
/** Tokens that one `update` takes at most: 1 to 2 ms. A long prompt is taken in pieces, so that a step does not wait for it. */
const PIECE = 8192

/**
 * The tokens of one text, as it grows. For each of ORDERS a table says where as many tokens stood last, by a hash of them: a few steps for each token, whatever the text, and at most 2 MiB.
 * A table forgets where two hashes fall into one slot, and what it finds is compared, so that a wrong place never counts.
 */
export class PromptLookup {
  #ids: readonly number[]
  /** By hash, where the text goes on after the tokens; 0: nowhere. */
  #tables: readonly Int32Array[]
  #bits: number
  #taken = 0
  /** Where the guess comes from, and how many tokens before it are those at the end. */
  #place = 0
  #length = 0
  #record = new GuessRecord()

  /** @param ids of the text; tokens that are added to the list are taken by `update`. @param most tokens that it can come to have */
  constructor(ids: readonly number[], most: number) {
    this.#ids = ids
    this.#bits = 32 - Math.clz32(Math.min(Math.max(most, 64), MOST_SLOTS) - 1)
    this.#tables = ORDERS.map(() => new Int32Array(1 << this.#bits))
  }

  /** How many of the last tokens are those before the place that the guess comes from: 2 to 16, which stands for more, too; 0: no such place. */
  get length(): number {
    return this.#length
  }

  /** Takes tokens that have come since. Says whether it has them all: before that there is nothing to guess. */
  update(): boolean {
    const until = Math.min(this.#ids.length, this.#taken + PIECE)
    while (this.#taken < until) this.#take()
    return until === this.#ids.length
  }

  /** How many tokens are worth being verified; see `GuessRecord.worth`. */
  worth(most: number, rowCost: number): number {
    return this.#length === 0 ? 0 : this.#record.worth(this.#length, most, rowCost)
  }

  /** What may come next: `count` tokens, or none where there is no guess. Beyond the end of the text it goes on in the guess: what repeats itself does so again. */
  guess(count: number): number[] {
    const guess: number[] = [], end = this.#taken
    if (this.#length === 0) return guess
    for (let place = this.#place; guess.length < count; place++) guess.push(place < end ? this.#ids[place]! : guess[place - end]!)
    return guess
  }

  #take(): void {
    if (this.#length > 0) {
      const right = this.#ids[this.#place] === this.#ids[this.#taken]
      this.#record.note(this.#length, right)
      // A place that was right stays the place.
      this.#place = right ? this.#place + 1 : 0
      this.#length = right ? Math.min(this.#length + 1, LONGEST) : 0
    }
    const end = ++this.#taken
    for (const [o, order] of ORDERS.entries()) {
      if (order > end) continue
      const table = this.#tables[o]!, slot = this.#hash(order), place = table[slot]!
      table[slot] = end
      if (place === 0 || this.#length >= order) continue
      const length = this.#common(place)
      if (length >= 2 && length > this.#length) [this.#place, this.#length] = [place, length]
    }
  }

  #hash(order: number): number {
    let hash = 0
    for (let i = this.#taken - order; i < this.#taken; i++) hash = Math.imul(hash ^ this.#ids[i]!, 0x9e3779b1) ^ (hash >>> 15)
    return Math.imul(hash, 0x85ebca6b) >>> (32 - this.#bits)
  }

  /** How many tokens before a place are those at the end, up to LONGEST. */
  #common(place: number): number {
    let length = 0
    while (length < Math.min(LONGEST, place) && this.#ids[place - 1 - length] === this.#ids[this.#taken - 1 - length]) length++
    return length
  }
}

/**
 * Draft tokens by prompt lookup (A. Saxena, 2023): it finds an earlier place in the text with the same last tokens and
 * proposes the tokens that followed there. This is right often in copies, edits, quotations and loops. It runs no
 * model: the caller has the model verify a draft.
 */
import { AcceptanceRates, LONGEST } from './drafts.ts'

/** Lengths of the last tokens that are looked up, the longest first. */
const ORDERS = [8, 4, 3, 2]
const MOST_SLOTS = 1 << 17
/**
 * Tokens that one `update` takes at most: 1 to 2 ms. A long prompt is taken in pieces, so that a step does not wait for
 * it.
 */
const PIECE = 8192

/**
 * The tokens of one growing text. For each of ORDERS, a table maps the hash of the last tokens to their latest
 * position: a few steps per token, at most 2 MiB. A table forgets colliding entries, and every hit is compared, so a
 * wrong position never counts.
 */
export class PromptLookup {
  #ids: readonly number[]
  /** By hash of the tokens, the position after them; 0: none. */
  #tables: readonly Int32Array[]
  #bits: number
  #taken = 0
  /** Position of the draft, and how many tokens before it equal the last ones. */
  #place = 0
  #length = 0
  #rates = new AcceptanceRates()

  /**
   * @param ids of the text; `update` reads tokens appended to the list
   * @param most maximum number of tokens
   */
  constructor(ids: readonly number[], most: number) {
    this.#ids = ids
    this.#bits = 32 - Math.clz32(Math.min(Math.max(most, 64), MOST_SLOTS) - 1)
    this.#tables = ORDERS.map(() => new Int32Array(1 << this.#bits))
  }

  /** Length of the match before the draft: 2 to 16 (16 or more); 0: no match. */
  get length(): number {
    return this.#length
  }

  /** Reads appended tokens. @returns whether it has read all of them; until then there is no draft */
  update(): boolean {
    const until = Math.min(this.#ids.length, this.#taken + PIECE)
    while (this.#taken < until) this.#take()
    return until === this.#ids.length
  }

  /** How many draft tokens pay; see `AcceptanceRates.draftLength`. */
  draftLength(most: number, rowCost: number): number {
    return this.#length === 0 ? 0 : this.#rates.draftLength(this.#length, most, rowCost)
  }

  /**
   * `count` draft tokens, or none without a match. A draft that reaches the end of the text continues with its own
   * tokens, so a loop repeats.
   */
  draft(count: number): number[] {
    const draft: number[] = []
    const end = this.#taken
    if (this.#length === 0) return draft
    for (let place = this.#place; draft.length < count; place++)
      draft.push(place < end ? this.#ids[place]! : draft[place - end]!)
    return draft
  }

  #take(): void {
    if (this.#length > 0) {
      const accepted = this.#ids[this.#place] === this.#ids[this.#taken]
      this.#rates.note(this.#length, accepted)
      // A position that predicted correctly is kept.
      this.#place = accepted ? this.#place + 1 : 0
      this.#length = accepted ? Math.min(this.#length + 1, LONGEST) : 0
    }
    const end = ++this.#taken
    for (const [o, order] of ORDERS.entries()) {
      if (order > end) continue
      const table = this.#tables[o]!
      const slot = this.#hash(order)
      const place = table[slot]!
      table[slot] = end
      if (place === 0 || this.#length >= order) continue
      const length = this.#common(place)
      if (length >= 2 && length > this.#length) [this.#place, this.#length] = [place, length]
    }
  }

  #hash(order: number): number {
    let hash = 0
    for (let i = this.#taken - order; i < this.#taken; i++)
      hash = Math.imul(hash ^ this.#ids[i]!, 0x9e3779b1) ^ (hash >>> 15)
    return Math.imul(hash, 0x85ebca6b) >>> (32 - this.#bits)
  }

  /** How many tokens before a position equal the last ones of the text, up to LONGEST. */
  #common(place: number): number {
    let length = 0
    while (length < Math.min(LONGEST, place) && this.#ids[place - 1 - length] === this.#ids[this.#taken - 1 - length])
      length++
    return length
  }
}

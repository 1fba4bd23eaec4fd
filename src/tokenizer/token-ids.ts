/**
 * Token ids by text: open addressing on typed arrays. A Map of 262,144 texts takes four times as long, and can look up
 * neither a part of a text nor two joined tokens without building a string.
 */
import { randomInt } from 'node:crypto'

/**
 * Hashes are polynomials modulo a prime below 2^26, so that products are exact in a double. The base is drawn, so that
 * no file can aim at collisions.
 */
const PRIME = 2 ** 26 - 5
const INVERSE = 1 / PRIME
const BASE = randomInt(2 ** 24, PRIME)

/** `a * b + c` modulo the prime. */
function fold(a: number, b: number, c: number): number {
  const x = a * b + c
  const rest = x - Math.floor(x * INVERSE) * PRIME
  if (rest < 0) return rest + PRIME
  return rest >= PRIME ? rest - PRIME : rest
}

/** Powers of the base. */
const powers: number[] = [1]
function power(exponent: number): number {
  while (powers.length <= exponent) powers.push(fold(powers.at(-1)!, BASE, 0))
  return powers[exponent]!
}

function hashOf(text: string, from: number, to: number): number {
  let hash = 0
  for (let i = from; i < to; i++) hash = fold(hash, BASE, text.charCodeAt(i) + 1)
  return hash
}

export class TokenIds {
  #tokens: readonly string[]
  /** By id. */
  #hashes: Int32Array
  /** Id + 1 in each place of the table, 0 when free. The table is at most half full. */
  #table: Int32Array
  #mask: number

  /** @param tokens by id. Of equal texts, the first counts. */
  constructor(tokens: readonly string[]) {
    let capacity = 64
    while (capacity < 2 * tokens.length) capacity *= 2
    this.#tokens = tokens
    this.#hashes = new Int32Array(tokens.length)
    this.#table = new Int32Array(capacity)
    this.#mask = capacity - 1
    for (let id = 0; id < tokens.length; id++) {
      const token = tokens[id]!
      const hash = hashOf(token, 0, token.length)
      this.#hashes[id] = hash
      const place = this.#place(hash, token, 0, token.length)
      if (this.#table[place] === 0) this.#table[place] = id + 1
    }
  }

  /** Id of a text, or undefined. */
  get(text: string): number | undefined {
    const id = this.find(text, 0, text.length)
    return id < 0 ? undefined : id
  }

  /** Id of the text from `from` to `to`, or -1. */
  find(text: string, from: number, to: number): number {
    return this.#table[this.#place(hashOf(text, from, to), text, from, to)]! - 1
  }

  /** Id of the text of two tokens, one behind the other, or -1. */
  joined(left: number, right: number): number {
    const a = this.#tokens[left]!
    const b = this.#tokens[right]!
    const hash = fold(this.#hashes[left]!, power(b.length), this.#hashes[right]!)
    for (let place = this.#start(hash); ; place = (place + 1) & this.#mask) {
      const id = this.#table[place]! - 1
      if (id < 0) return -1
      if (this.#hashes[id] !== hash) continue
      const token = this.#tokens[id]!
      if (token.length === a.length + b.length && token.startsWith(a) && token.endsWith(b)) return id
    }
  }

  /** Calls `found` for each way to cut a text in two tokens, from the shortest left one on. */
  splits(text: string, found: (left: number, right: number) => void): void {
    const whole = hashOf(text, 0, text.length)
    let prefix = 0
    for (let i = 1; i < text.length; i++) {
      prefix = fold(prefix, BASE, text.charCodeAt(i - 1) + 1)
      const left = this.#table[this.#place(prefix, text, 0, i)]! - 1
      if (left < 0) continue
      const suffix = fold(PRIME - prefix, power(text.length - i), whole)
      const right = this.#table[this.#place(suffix, text, i, text.length)]! - 1
      if (right >= 0) found(left, right)
    }
  }

  /** The place of the token that is the text from `from` to `to`, or the free place for it. */
  #place(hash: number, text: string, from: number, to: number): number {
    for (let place = this.#start(hash); ; place = (place + 1) & this.#mask) {
      const id = this.#table[place]! - 1
      if (id < 0) return place
      if (this.#hashes[id] !== hash) continue
      const token = this.#tokens[id]!
      if (token.length === to - from && text.startsWith(token, from)) return place
    }
  }

  #start(hash: number): number {
    return (Math.imul(hash, 0x9e3779b1) >>> 6) & this.#mask
  }
}

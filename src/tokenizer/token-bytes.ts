/**
 * Bytes of the tokens of a vocabulary, by id, in one piece of memory: an array for each of 128,000 would take twenty
 * megabytes more.
 */
import { byteOf } from './bytes.ts'

export class TokenBytes {
  #bytes = new Uint8Array(1 << 10)
  /** Where the bytes of each token end. */
  #ends: Int32Array
  #count = 0

  /** @param tokens how many there will be */
  constructor(tokens: number) {
    this.#ends = new Int32Array(tokens)
  }

  /** Takes those of the next token. */
  push(bytes: Uint8Array): void {
    const from = this.#room(bytes.length)
    this.#bytes.set(bytes, from)
    this.#ends[this.#count++] = from + bytes.length
  }

  /** Takes those that the next token spells. Says whether it spells bytes; where it does not, nothing is taken. */
  pushSpelled(token: string): boolean {
    const from = this.#room(token.length)
    for (let i = 0; i < token.length; i++) {
      const byte = byteOf(token.charCodeAt(i))
      if (byte < 0) return false
      this.#bytes[from + i] = byte
    }
    this.#ends[this.#count++] = from + token.length
    return true
  }

  /** Start of the next token's bytes, with room for this many. */
  #room(length: number): number {
    const from = this.#end(this.#count - 1)
    if (from + length > this.#bytes.length) {
      const longer = new Uint8Array(2 * (from + length))
      longer.set(this.#bytes.subarray(0, from))
      this.#bytes = longer
    }
    return from
  }

  /** A view, which the caller must not change; undefined if there is no such token. */
  at(id: number): Uint8Array | undefined {
    return Number.isInteger(id) && id >= 0 && id < this.#count
      ? this.#bytes.subarray(this.#end(id - 1), this.#end(id))
      : undefined
  }

  /** Number of bytes of a token that there is. */
  length(id: number): number {
    return this.#end(id) - this.#end(id - 1)
  }

  #end(id: number): number {
    return id < 0 ? 0 : this.#ends[id]!
  }
}

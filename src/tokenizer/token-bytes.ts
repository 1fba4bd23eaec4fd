/** Bytes of the tokens of a vocabulary, by id, in one piece of memory: an array for each of 128,000 would take twenty megabytes more. */
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
    const from = this.#end(this.#count - 1), end = from + bytes.length
    if (end > this.#bytes.length) {
      const longer = new Uint8Array(2 * end)
      longer.set(this.#bytes.subarray(0, from))
      this.#bytes = longer
    }
    this.#bytes.set(bytes, from)
    this.#ends[this.#count++] = end
  }

  /** A view, which the caller must not change; undefined where there is no such token. */
  at(id: number): Uint8Array | undefined {
    return Number.isInteger(id) && id >= 0 && id < this.#count ? this.#bytes.subarray(this.#end(id - 1), this.#end(id)) : undefined
  }

  #end(id: number): number {
    return id < 0 ? 0 : this.#ends[id]!
  }
}

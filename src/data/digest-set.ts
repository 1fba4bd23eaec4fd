/**
 * A set of SHA-256 digests that keeps the first 128 bits of each: 32 to 64 bytes a document at most, where a JavaScript
 * Set takes several times as much. Two texts whose digests agree in 128 bits are beyond reach of chance and of search.
 */
export class DigestSet {
  #words = new Uint32Array(4 * 1024)
  #used = new Uint8Array(1024)
  size = 0

  /** Adds a digest. @returns false when it was there already. */
  add(digest: Buffer): boolean {
    if (2 * this.size >= this.#used.length) this.#grow()
    const [a, b, c, d] = [
      digest.readUInt32LE(0),
      digest.readUInt32LE(4),
      digest.readUInt32LE(8),
      digest.readUInt32LE(12)
    ]
    return this.#insert(a, b, c, d)
  }

  #insert(a: number, b: number, c: number, d: number): boolean {
    const mask = this.#used.length - 1
    const words = this.#words
    let i = a & mask
    for (; this.#used[i] === 1; i = (i + 1) & mask) {
      if (words[4 * i] === a && words[4 * i + 1] === b && words[4 * i + 2] === c && words[4 * i + 3] === d) return false
    }
    this.#used[i] = 1
    words[4 * i] = a
    words[4 * i + 1] = b
    words[4 * i + 2] = c
    words[4 * i + 3] = d
    this.size++
    return true
  }

  #grow(): void {
    const words = this.#words
    const used = this.#used
    this.#words = new Uint32Array(2 * words.length)
    this.#used = new Uint8Array(2 * used.length)
    this.size = 0
    for (let i = 0; i < used.length; i++)
      if (used[i] === 1) this.#insert(words[4 * i]!, words[4 * i + 1]!, words[4 * i + 2]!, words[4 * i + 3]!)
  }
}

/**
 * Names seen so far, as bytes in typed arrays: finds the one that appears twice without a JavaScript object for each.
 * The hash is multilinear with random keys drawn for each set (Lemire and Kaser, "Strongly universal string hashing is
 * fast"): no choice of names makes more of them collide than chance does.
 */
import { randomFillSync } from 'node:crypto'

export class NameSet {
  #longest: number
  #bytes: Uint8Array
  #ends: Uint32Array
  /** A random number for each position in a name, and one for its length. */
  #keys: Uint32Array
  #hashes: Int32Array
  /** Chains: the latest name of each slot, and the one before each name; 1 more than its index, 0 for none. */
  #slots: Int32Array
  #before: Int32Array
  #shift: number
  #count = 0

  /**
   * @param most names @param longest bytes of a name, at most 256. Memory is reserved for all, and touched as it is
   *   used.
   */
  constructor(most: number, longest: number) {
    const bits = Math.max(1, Math.ceil(Math.log2(most + 1)))
    this.#longest = longest
    this.#bytes = new Uint8Array(most * longest)
    this.#ends = new Uint32Array(most + 1)
    this.#keys = randomFillSync(new Uint32Array(longest + 1))
    this.#hashes = new Int32Array(most)
    this.#slots = new Int32Array(1 << bits)
    this.#before = new Int32Array(most)
    this.#shift = 32 - bits
  }

  /** Adds the next name; returns whether it is new. */
  add(name: Uint8Array): boolean {
    const index = this.#count++
    const start = this.#ends[index]!
    const hash = this.#hash(name)
    const slot = hash >>> this.#shift
    const isNew = !this.#holds(name, hash, this.#slots[slot]!)
    this.#bytes.set(name, start)
    this.#ends[index + 1] = start + name.length
    this.#hashes[index] = hash
    this.#before[index] = this.#slots[slot]!
    this.#slots[slot] = index + 1
    return isNew
  }

  /** The name with this index, as text. */
  text(index: number): string {
    return Buffer.from(this.#bytes.buffer, this.#ends[index]!, this.#ends[index + 1]! - this.#ends[index]!).toString(
      'utf8'
    )
  }

  #hash(name: Uint8Array): number {
    const keys = this.#keys
    let hash = Math.imul(keys[this.#longest]!, name.length)
    for (let i = 0; i < name.length; i++) hash = (hash + Math.imul(keys[i]!, name[i]!)) | 0
    return hash
  }

  #holds(name: Uint8Array, hash: number, slot: number): boolean {
    for (let next = slot; next > 0; next = this.#before[next - 1]!) {
      if (this.#hashes[next - 1] === hash && this.#same(name, next - 1)) return true
    }
    return false
  }

  #same(name: Uint8Array, index: number): boolean {
    const bytes = this.#bytes
    const start = this.#ends[index]!
    if (this.#ends[index + 1]! - start !== name.length) return false
    for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false
    return true
  }
}

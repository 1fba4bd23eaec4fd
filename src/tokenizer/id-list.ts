/** Token ids under construction: an array that grows. */
export class IdList {
  #ids: Int32Array<ArrayBuffer>
  #length = 0

  /** @param room ids that are expected */
  constructor(room: number) {
    this.#ids = new Int32Array(Math.max(16, room))
  }

  /** The id that was added last, or -1. */
  get last(): number {
    return this.#length === 0 ? -1 : this.#ids[this.#length - 1]!
  }

  get length(): number {
    return this.#length
  }

  /** The underlying array, longer than the list. It is replaced when the list grows. */
  get array(): Int32Array<ArrayBuffer> {
    return this.#ids
  }

  clear(): void {
    this.#length = 0
  }

  add(id: number): void {
    if (this.#length === this.#ids.length) this.#grow(this.#length + 1)
    this.#ids[this.#length++] = id
  }

  /** Adds ids[from, n). */
  push(ids: ArrayLike<number>, n: number, from = 0): void {
    const more = n - from
    if (this.#length + more > this.#ids.length) this.#grow(this.#length + more)
    for (let i = from; i < n; i++) this.#ids[this.#length++] = ids[i]!
  }

  /** Adds ids[from, n) up to `limit` and one more in all, which tells that there were more. */
  pushUpTo(limit: number, ids: Int32Array, n: number, from = 0): void {
    const to = Math.max(from, Math.min(n, from + limit + 1 - this.#length))
    if (this.#length + to - from > this.#ids.length) this.#grow(this.#length + to - from)
    this.#ids.set(ids.subarray(from, to), this.#length)
    this.#length += to - from
  }

  #grow(least: number): void {
    const larger = new Int32Array(Math.max(2 * this.#ids.length, least))
    larger.set(this.#ids)
    this.#ids = larger
  }

  take(): Int32Array<ArrayBuffer> {
    return this.#ids.slice(0, this.#length)
  }
}

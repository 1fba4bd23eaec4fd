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

  /** Adds ids[from, n). */
  push(ids: ArrayLike<number>, n: number, from = 0): void {
    const more = n - from
    if (this.#length + more > this.#ids.length) {
      const larger = new Int32Array(Math.max(2 * this.#ids.length, this.#length + more))
      larger.set(this.#ids)
      this.#ids = larger
    }
    for (let i = from; i < n; i++) this.#ids[this.#length++] = ids[i]!
  }

  take(): Int32Array<ArrayBuffer> {
    return this.#ids.slice(0, this.#length)
  }
}

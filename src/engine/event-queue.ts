/** A queue between a producer and a reader at its own pace; ends with an event or an error. */
export class EventQueue<T> {
  #events: T[] = []
  #error: { readonly reason: unknown } | undefined
  #ended = false
  #wake: (() => void) | undefined
  #onRead: () => void

  /** @param onRead called after each event that is taken out */
  constructor(onRead: () => void = () => {}) {
    this.#onRead = onRead
  }

  /** Events that wait to be taken out. */
  get backlog(): number {
    return this.#events.length
  }

  push(event: T): void {
    this.#events.push(event)
    this.#wake?.()
  }

  /** Nothing comes after this. */
  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  /** The reader gets this error after the queued events. */
  fail(reason: unknown): void {
    this.#error ??= { reason }
    this.end()
  }

  /** For one reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      while (this.#events.length > 0) {
        const event = this.#events.shift()!
        this.#onRead()
        yield event
      }
      if (this.#error) throw this.#error.reason
      if (this.#ended) return
      await new Promise<void>(resolve => void (this.#wake = resolve))
    }
  }
}

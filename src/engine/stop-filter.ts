/**
 * Finds stop strings in a text that arrives in pieces. Text that may begin a stop string is held back, so no part of
 * one is ever emitted. The result does not depend on the pieces: the stop string that ends first wins.
 */
export class StopFilter {
  #stops: readonly string[]
  #held = ''
  #stopped = false

  constructor(stops: readonly string[]) {
    this.#stops = stops
  }

  /** Whether a stop string has been found. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** Takes a piece and returns the text to emit; '' after a stop string. */
  push(piece: string): string {
    if (this.#stopped) return ''
    const text = this.#held + piece
    let end = Infinity
    let start = 0
    for (const stop of this.#stops) {
      const at = text.indexOf(stop)
      if (at < 0) continue
      if (at + stop.length < end || (at + stop.length === end && at < start)) [end, start] = [at + stop.length, at]
    }
    if (end < Infinity) {
      this.#stopped = true
      this.#held = ''
      return text.slice(0, start)
    }
    const keep = Math.max(0, ...this.#stops.map(stop => beginning(text, stop)))
    this.#held = text.slice(text.length - keep)
    return text.slice(0, text.length - keep)
  }

  /** Ends the text: held-back text was no stop string. */
  end(): string {
    const held = this.#held
    this.#held = ''
    return held
  }
}

/** Length of the longest end of `text` that `stop` begins with, the whole of `stop` excepted. */
function beginning(text: string, stop: string): number {
  for (let n = Math.min(stop.length - 1, text.length); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n
  return 0
}

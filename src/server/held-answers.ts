/**
 * The memory that answers take which are kept whole until they are complete: all together no more than a limit, beyond
 * which the largest is ended.
 */
import { VeritError } from '../lib/errors.ts'
import type { TokenEvent } from './answer-writer.ts'

/** 64 MiB hold 16 answers of 1,024 tokens with 20 alternatives each, three times over. */
const MOST_MEBIBYTES = 64
/** Bytes of a token or alternative besides its text, if log probabilities are kept. */
const ENTRY_BYTES = 64

export class HeldAnswers {
  #most: number
  #total = 0
  #answers = new Set<HeldAnswer>()

  constructor(mebibytes = MOST_MEBIBYTES) {
    this.#most = mebibytes * 2 ** 20
  }

  /** @param end called when this answer, as the largest, must be dropped */
  open(end: (why: VeritError) => void): HeldAnswer {
    const answer: HeldAnswer = new HeldAnswer(
      more => this.#grow(more),
      () => this.#close(answer),
      end
    )
    this.#answers.add(answer)
    return answer
  }

  #grow(bytes: number): void {
    this.#total += bytes
    while (this.#total > this.#most) {
      const [largest] = [...this.#answers].sort((a, b) => b.bytes - a.bytes)
      if (largest === undefined) return
      largest[Symbol.dispose]()
      largest.end(new VeritError('VERIT_ANSWER_MEMORY', { mebibytes: this.#most / 2 ** 20 }))
    }
  }

  #close(answer: HeldAnswer): void {
    if (this.#answers.delete(answer)) this.#total -= answer.bytes
  }
}

/** One of them. It counts until it is disposed of. */
export class HeldAnswer implements Disposable {
  bytes = 0
  readonly end: (why: VeritError) => void
  #closed = false
  #grown: (bytes: number) => void
  #close: () => void

  constructor(grown: (bytes: number) => void, close: () => void, end: (why: VeritError) => void) {
    this.#grown = grown
    this.#close = close
    this.end = end
  }

  /** Counts a token that is kept. */
  add({ text, logprob, top = [] }: TokenEvent): void {
    if (this.#closed) return
    const entries = logprob === undefined ? 0 : 1 + top.length
    const bytes = 2 * (text.length + top.reduce((n, t) => n + t.text.length, 0)) + ENTRY_BYTES * entries
    this.bytes += bytes
    this.#grown(bytes)
  }

  [Symbol.dispose](): void {
    this.#closed = true
    this.#close()
  }
}

/**
 * One call as the gateway sees it: events in the one order that makes sense (start, tokens, end), no more tokens than were asked for, and a queue
 * of at most UNREAD tokens that a slower reader empties. The runner is not trusted to keep to that: whatever breaks it is a bad frame.
 */
import { VeritError } from '../lib/errors.ts'
import { UNREAD } from './messages.ts'
import type { CallEvent } from './messages.ts'

/** Most text of one call, alternatives of log probabilities included, in UTF-16 units: far beyond what a context of 2^20 tokens holds. */
const MOST_TEXT = 64 << 20

const textOf = (event: CallEvent): number =>
  (event.type === 'token' ? (event.top ?? []).reduce((n, t) => n + t.text.length, event.text.length) : 0)

export interface CallLimits {
  /** Tokens of the answer that were asked for. */
  maxTokens: number
  /** Tokens of the prompt that were allowed. Default: any number. */
  maxPromptTokens?: number | undefined
  /** Tokens of the prompt that may be given out before the answer. Default 0. */
  echoed?: number
}

export class Call {
  #limits: CallLimits
  #queue: CallEvent[] = []
  #wake: (() => void) | undefined
  #failure: Error | undefined
  #state: 'sent' | 'started' | 'ended' = 'sent'
  #tokens = 0
  #promptTokens = 0
  #text = 0
  /** Tokens in the queue, and those taken out of it that the runner has not been told of. */
  #unread = 0
  #taken = 0
  #onTaken: (tokens: number) => void
  #discarding = false
  #whenEnded = Promise.withResolvers<void>()

  /**
   * @param onTaken called for every UNREAD / 2 tokens that the reader has taken: as many more may come
   */
  constructor(limits: CallLimits, onTaken: (tokens: number) => void = () => undefined) {
    this.#limits = limits
    this.#onTaken = onTaken
  }

  /** Resolves when the runner has said its last word on this call, or is gone. */
  get ended(): Promise<void> {
    return this.#whenEnded.promise
  }

  get over(): boolean {
    return this.#state === 'ended'
  }

  /** @throws VeritError VERIT_RUNNER_FRAME */
  accept(event: CallEvent): void {
    const expected = event.type === 'start' ? 'sent' : 'started'
    if (this.#state !== expected) throw new VeritError('VERIT_RUNNER_FRAME', { problem: `an event "${event.type}" out of order` })
    if (event.type === 'token' && ++this.#tokens > this.#limits.maxTokens + this.#echoed) {
      throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'more tokens than were asked for' })
    }
    if ((this.#text += textOf(event)) > MOST_TEXT) throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'more text than an answer can have' })
    if (event.type === 'token' && !this.#discarding && ++this.#unread + this.#taken > UNREAD) {
      throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'more tokens than the reader has room for' })
    }
    this.#checkCounts(event)
    if (event.type === 'start') this.#state = 'started'
    if (event.type === 'end') this.#finish()
    if (!this.#discarding) this.#queue.push(event)
    this.#wake?.()
  }

  /** Ends the call with an error, once what came before it has been read. */
  fail(error: Error): void {
    if (this.#state === 'ended') return
    this.#failure = error
    this.#finish()
    this.#wake?.()
  }

  /** Nobody will read any more: what comes is checked and dropped. */
  discard(): void {
    this.#discarding = true
    this.#queue = []
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<CallEvent> {
    for (;;) {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        if (next.type === 'token') this.#take()
        yield next
      }
      if (this.#failure !== undefined) throw this.#failure
      if (this.#state === 'ended') return
      await new Promise<void>(resolve => void (this.#wake = resolve))
    }
  }

  /** Tokens that are the prompt's own: all of it, or none. */
  get #echoed(): number {
    return Math.min(this.#limits.echoed ?? 0, this.#promptTokens)
  }

  /** Budgets are charged by these counts. */
  #checkCounts(event: CallEvent): void {
    if (event.type === 'start') {
      this.#promptTokens = event.promptTokens
      if (event.cachedTokens > 0 && event.cachedTokens >= event.promptTokens) throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'more tokens from the cache than a prompt can have there' })
      if (event.promptTokens > (this.#limits.maxPromptTokens ?? Infinity)) throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'a longer prompt than was allowed' })
    }
    if (event.type !== 'end') return
    // one that was cancelled is charged by what has come of it
    const given = event.reason === 'cancelled' || event.completionTokens === this.#tokens - this.#echoed
    if (event.promptTokens !== this.#promptTokens || event.completionTokens > this.#limits.maxTokens || !given) {
      throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'counts of tokens that contradict one another' })
    }
  }

  #take(): void {
    this.#unread--
    if (++this.#taken < UNREAD / 2) return
    this.#taken = 0
    if (this.#state !== 'ended') this.#onTaken(UNREAD / 2)
  }

  #finish(): void {
    this.#state = 'ended'
    this.#whenEnded.resolve()
  }
}

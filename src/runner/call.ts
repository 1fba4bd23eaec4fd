/**
 * One call as the gateway sees it: events in the one order that makes sense (start, tokens, end), no more tokens than were asked for, and a queue
 * that a slower reader empties. The runner is not trusted to keep to that: whatever breaks it is a bad frame.
 */
import { VeritError } from '../lib/errors.ts'
import type { CallEvent } from './messages.ts'

export class Call {
  #maxTokens: number
  #queue: CallEvent[] = []
  #wake: (() => void) | undefined
  #failure: Error | undefined
  #state: 'sent' | 'started' | 'ended' = 'sent'
  #tokens = 0
  #discarding = false
  #whenEnded = Promise.withResolvers<void>()

  /** @param maxTokens most tokens that may come, which also bounds the queue */
  constructor(maxTokens: number) {
    this.#maxTokens = maxTokens
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
    if (event.type === 'token' && ++this.#tokens > this.#maxTokens) {
      throw new VeritError('VERIT_RUNNER_FRAME', { problem: 'more tokens than were asked for' })
    }
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
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) yield next
      if (this.#failure !== undefined) throw this.#failure
      if (this.#state === 'ended') return
      await new Promise<void>(resolve => void (this.#wake = resolve))
    }
  }

  #finish(): void {
    this.#state = 'ended'
    this.#whenEnded.resolve()
  }
}

/**
 * One call as the gateway sees it: events in the one order that makes sense (start, tokens, end), no more tokens and
 * text than were asked and paid for, and a queue of at most UNREAD tokens that a slower reader empties. The runner is
 * not trusted to keep to that: whatever breaks it is a bad frame.
 */
import { VeritError } from '../lib/errors.ts'
import { UNREAD } from './messages.ts'
import type { CallEvent } from './messages.ts'
import { TextBudget } from './text-limits.ts'

export interface CallLimits {
  /** Tokens of the answer that were asked for. */
  maxTokens: number
  /** Tokens of the prompt that were allowed. Default: any number. */
  maxPromptTokens?: number | undefined
  /** Tokens of prompt and answer that were reserved. Default: any number. */
  mostTokens?: number | undefined
  /** Whether the prompt's tokens may be emitted before the answer. Default false. */
  echo?: boolean | undefined
  /** Log probabilities: alternatives of each token that were asked for. Default: not even the token's own. */
  logprobs?: number | undefined
}

type Token = Extract<CallEvent, { type: 'token' }>
type End = Extract<CallEvent, { type: 'end' }>

const refuse = (problem: string): never => {
  throw new VeritError('VERIT_RUNNER_FRAME', { problem })
}

export class Call {
  #limits: CallLimits
  #queue: CallEvent[] = []
  #wake: (() => void) | undefined
  #failure: Error | undefined
  #state: 'sent' | 'started' | 'ended' = 'sent'
  #tokens = 0
  #promptTokens = 0
  #text = new TextBudget()
  /** Tokens in the queue, and tokens read from it that were not yet reported to the runner. */
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

  /** Resolves when the runner has sent its last message on this call, or has ended. */
  get ended(): Promise<void> {
    return this.#whenEnded.promise
  }

  get over(): boolean {
    return this.#state === 'ended'
  }

  /** @throws VeritError VERIT_RUNNER_FRAME */
  accept(event: CallEvent): void {
    if (this.#neverBegan(event)) this.#finish()
    else if (this.#state !== (event.type === 'start' ? 'sent' : 'started'))
      refuse(`an event "${event.type}" out of order`)
    else if (event.type === 'start') this.#start(event.promptTokens, event.cachedTokens)
    else if (event.type === 'token') this.#checkToken(event)
    else this.#end(event)
    if (!this.#discarding) this.#queue.push(event)
    this.#wake?.()
  }

  /** Ends the call with an error, after earlier events have been read. */
  fail(error: Error): void {
    if (this.#state === 'ended') return
    this.#failure = error
    this.#finish()
    this.#wake?.()
  }

  /** There is no reader any more: further messages are checked and dropped. */
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
    return this.#limits.echo === true ? this.#promptTokens : 0
  }

  /** A cancelled call may end before it begins. */
  #neverBegan(event: CallEvent): boolean {
    return this.#discarding && this.#state === 'sent' && event.type === 'end' && event.reason === 'cancelled'
  }

  #start(promptTokens: number, cachedTokens: number): void {
    const { maxPromptTokens = Infinity, mostTokens = Infinity } = this.#limits
    if (cachedTokens > 0 && cachedTokens >= promptTokens)
      refuse('more tokens from the cache than a prompt can have there')
    if (promptTokens > Math.min(maxPromptTokens, mostTokens)) refuse('a longer prompt than was allowed')
    this.#promptTokens = promptTokens
    this.#state = 'started'
  }

  #checkToken({ text, logprob, top }: Token): void {
    const { maxTokens, mostTokens = Infinity, logprobs } = this.#limits
    if (++this.#tokens > Math.min(maxTokens, mostTokens - this.#promptTokens) + this.#echoed)
      refuse('more tokens than were asked for')
    if (++this.#unread + this.#taken > UNREAD) refuse('more tokens than the reader has room for')
    if (logprobs === undefined ? (logprob ?? top) !== undefined : (top ?? []).length > logprobs)
      refuse('log probabilities that were not asked for')
    if (!this.#text.take(text, top)) refuse('more text than tokens can have')
  }

  /** Budgets are charged by these counts. */
  #end({ reason, promptTokens, completionTokens }: End): void {
    // a cancelled call is charged for the received tokens
    const given = reason === 'cancelled' || completionTokens === this.#tokens - this.#echoed
    if (promptTokens !== this.#promptTokens || completionTokens > this.#limits.maxTokens || !given)
      refuse('counts of tokens that contradict one another')
    this.#finish()
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

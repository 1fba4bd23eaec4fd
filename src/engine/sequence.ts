/** One generation under way: its tokens, how far they were run, and how what the model chooses becomes events. */
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { DecodeStream } from '../tokenizer/decode-stream.ts'
import { EventQueue } from './event-queue.ts'
import { logprobsOf } from './logprobs.ts'
import type { SequencePages } from './page-cache.ts'
import type { CheckedRequest } from './request.ts'
import { PromptLookup } from './prompt-lookup.ts'
import { Sampler } from './sampler.ts'
import { StopFilter } from './stop-filter.ts'

export type GenerateEvent =
  /** `cachedTokens`: prompt tokens served from the prefix cache. `date`: the date in the prompt, where the chat template asked for one. */
  | { type: 'start'; promptTokens: number; cachedTokens: number; seed: number; date?: string }
  /** `text` may be empty while a character is incomplete or a stop string may be starting; the end-of-text token has one of these, too. */
  | { type: 'token'; id: number; text: string; logprob?: number; top?: { id: number; text: string; logprob: number }[] }
  | { type: 'end'; reason: EndReason; promptTokens: number; completionTokens: number; timings: { promptMs: number; predictedMs: number } }

/** 'stop': end of text or a stop string; 'length': `maxTokens` or the context is used up. */
export type EndReason = 'stop' | 'length' | 'cancelled'

/** Events that may wait before a sequence pauses for its reader. */
const BACKLOG = 64

export class Sequence {
  readonly request: CheckedRequest
  readonly events: EventQueue<GenerateEvent>
  /** Prompt and answer. */
  readonly ids: number[]
  /** Tokens that the model has run: their keys and values are in the cache. */
  evaluated = 0
  /** Its number among those that run, and its pages of the cache, once it has begun. */
  slot = -1
  pages: SequencePages | undefined
  /** Whose pages it may use and leave to others of the same. */
  readonly tenant: string | undefined
  #tokenizer: TextTokenizer
  #ends: ReadonlySet<number>
  /** Tokens that are never chosen. */
  #unused: Int32Array
  #context: number
  #sampler: Sampler
  #decoder: DecodeStream
  #filter: StopFilter
  #lookup: PromptLookup | undefined
  #begun = 0
  #firstToken = 0
  #finished = false

  /** @param ends tokens that end a text. @param onRead see EventQueue */
  constructor(request: CheckedRequest, tokenizer: TextTokenizer, ends: ReadonlySet<number>, context: number, onRead: () => void, tenant?: string) {
    this.request = request
    this.tenant = tenant
    this.ids = [...request.prompt]
    this.events = new EventQueue(onRead)
    this.#tokenizer = tokenizer
    this.#ends = ends
    this.#unused = tokenizer.unused
    this.#context = context
    this.#sampler = new Sampler(request)
    this.#decoder = tokenizer.decodeStream({ skipSpecial: true })
    this.#filter = new StopFilter(request.stop)
  }

  get promptTokens(): number {
    return this.request.prompt.length
  }

  get finished(): boolean {
    return this.#finished
  }

  /** Whether its reader has fallen behind. */
  get paused(): boolean {
    return this.events.backlog >= BACKLOG
  }

  /** Positions of the cache that it can come to need: the last token that is chosen is not run. */
  get mostPositions(): number {
    return Math.min(this.promptTokens + this.request.maxTokens, this.#context) - 1
  }

  /** Takes its place among those that run. */
  begin(slot: number, pages: SequencePages): void {
    this.slot = slot
    this.pages = pages
    this.evaluated = pages.reused
    this.#begun = performance.now()
    this.events.push({ type: 'start', promptTokens: this.promptTokens, cachedTokens: pages.reused, seed: this.request.seed, ...(this.request.date !== undefined && { date: this.request.date }) })
    // A character that the prompt leaves incomplete may be completed by the answer.
    const from = this.request.echo ? 0 : Math.max(0, this.promptTokens - 8)
    for (const id of this.ids.slice(from)) {
      const text = this.#decoder.push(id)
      if (this.request.echo) this.events.push({ type: 'token', id, text })
    }
    if (this.request.maxTokens === 0) this.finish('length')
  }

  /** Guessed tokens that are worth being verified: such as can be chosen without its reader falling behind, in places that it was promised. @param rowCost see `rowCost` */
  guess(most: number, rowCost: number): number[] {
    const lookup = this.#lookup ??= new PromptLookup(this.ids, this.mostPositions + 1)
    return lookup.update() ? lookup.guess(lookup.worth(Math.min(most, this.mostPositions - this.ids.length, BACKLOG - 1 - this.events.backlog), rowCost)) : []
  }

  /** How many tokens are never chosen, whatever their logits. */
  get unusedTokens(): number {
    return this.#unused.length
  }

  /** Chooses the token after the last one. @param logits those of the last token; those of unused tokens become -∞ */
  accept(logits: Float32Array): void {
    const { request, ids } = this
    if (ids.length === this.promptTokens) this.#firstToken = performance.now()
    for (const unused of this.#unused) logits[unused] = -Infinity
    const id = this.#sampler.choose(logits, ids, this.promptTokens)
    ids.push(id)
    const ended = (!request.ignoreEndOfText && this.#ends.has(id)) || request.stopTokens.includes(id)
    let text = ended ? '' : this.#filter.push(this.#decoder.push(id))
    const full = ids.length - this.promptTokens >= request.maxTokens || ids.length >= this.#context
    const reason = ended || this.#filter.stopped ? 'stop' : full ? 'length' : undefined
    // Half a character at the end is dropped.
    if (reason !== undefined) text += this.#filter.end()
    this.events.push({ type: 'token', id, text, ...(request.logprobs >= 0 ? this.#logprobs(logits, id) : {}) })
    if (reason !== undefined) this.finish(reason)
  }

  #logprobs(logits: Float32Array, id: number): { logprob: number; top: { id: number; text: string; logprob: number }[] } {
    const { logprob, top } = logprobsOf(logits, id, this.request.logprobs)
    return { logprob, top: top.map(t => ({ ...t, text: Buffer.from(this.#tokenizer.tokenBytes(t.id)).toString() })) }
  }

  finish(reason: EndReason): void {
    if (this.#finished) return
    this.#finished = true
    const now = performance.now()
    const begun = this.#begun || now
    const first = this.#firstToken || now
    this.events.push({
      type: 'end', reason, promptTokens: this.promptTokens, completionTokens: this.ids.length - this.promptTokens,
      timings: { promptMs: first - begun, predictedMs: now - first },
    })
    this.events.end()
  }

  fail(error: unknown): void {
    this.#finished = true
    this.events.fail(error)
  }
}

/**
 * One generation: its tokens, how many of them the model has run, and its events. It turns logits into a token and a
 * token into text. It does not decide when it runs (scheduler.ts) and holds pages of the KV cache only as a list
 * (page-cache.ts).
 */
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { DecodeStream } from '../tokenizer/decode-stream.ts'
import type { EndReason, GenerateEvent } from './engine.ts'
import { EventQueue } from './event-queue.ts'
import { logprobsOf } from '../sampler/logprobs.ts'
import type { SequencePages } from './page-cache.ts'
import type { CheckedRequest } from './request.ts'
import { PromptLookup } from './prompt-lookup.ts'
import { neededLogits } from '../sampler/needed-logits.ts'
import { Sampler } from '../sampler/sampler.ts'
import { allows, excludedBy } from '../sampler/token-mask.ts'
import type { TokenMask } from '../sampler/token-mask.ts'
import { StopFilter } from './stop-filter.ts'

/** Events that may wait before a sequence pauses for its reader. */
const BACKLOG = 64

export class Sequence {
  readonly request: CheckedRequest
  readonly events: EventQueue<GenerateEvent>
  /** Prompt and answer. */
  readonly ids: number[]
  /** Tokens that the model has run: their keys and values are in the cache. */
  evaluated = 0
  /** Its slot and its pages of the KV cache, once it is admitted. */
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
  constructor(
    request: CheckedRequest,
    tokenizer: TextTokenizer,
    ends: ReadonlySet<number>,
    context: number,
    onRead: () => void,
    tenant?: string
  ) {
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

  /** Maximum number of cached positions: the last chosen token is not run. */
  get mostPositions(): number {
    return Math.min(this.promptTokens + this.request.maxTokens, this.#context) - 1
  }

  /** Takes a slot. */
  begin(slot: number, pages: SequencePages): void {
    this.slot = slot
    this.pages = pages
    this.evaluated = pages.reused
    this.#begun = performance.now()
    this.events.push({
      type: 'start',
      promptTokens: this.promptTokens,
      cachedTokens: pages.reused,
      seed: this.request.seed,
      ...(this.request.date !== undefined && { date: this.request.date })
    })
    // A character that the prompt leaves incomplete may be completed by the answer.
    const from = this.request.echo ? 0 : Math.max(0, this.promptTokens - 8)
    for (const id of this.ids.slice(from)) {
      const text = this.#decoder.push(id)
      if (this.request.echo) this.events.push({ type: 'token', id, text })
    }
    if (this.request.maxTokens === 0) this.finish('length')
  }

  /**
   * Draft tokens that pay, within its promised pages and its reader's backlog, up to the first that the mask excludes.
   * @param rowCost see `rowCost`
   */
  draft(most: number, rowCost: number): number[] {
    const lookup = (this.#lookup ??= new PromptLookup(this.ids, this.mostPositions + 1))
    if (!lookup.update()) return []
    const limit = Math.min(most, this.mostPositions - this.ids.length, BACKLOG - 1 - this.events.backlog)
    const draft = lookup.draft(lookup.draftLength(limit, rowCost))
    const excluded =
      this.request.constraint === undefined
        ? -1
        : draft.findIndex((id, i) => {
            const mask = this.#maskAfter(draft.slice(0, i))
            return mask !== undefined && !allows(mask, id)
          })
    return excluded < 0 ? draft : draft.slice(0, excluded)
  }

  /** How many of the largest logits the choice after its tokens and some draft tokens reads; 0: all. */
  neededLogits(draft: readonly number[]): number {
    const { request, promptTokens, ids } = this
    const mask = this.#maskAfter(draft)
    const excluded = this.#unused.length + (mask === undefined ? 0 : excludedBy(mask, this.#tokenizer.vocabSize))
    const position = ids.length + draft.length
    const logprobs = request.logprobs >= 0
    return neededLogits(request, { position, promptTokens, excluded, logprobs })
  }

  /** The mask of the token after its own and some draft tokens. */
  #maskAfter(draft: readonly number[]): TokenMask | undefined {
    const { constraint } = this.request
    return constraint?.maskAfter(draft.length === 0 ? this.ids : [...this.ids, ...draft], this.promptTokens)
  }

  /** Chooses the token after the last one. @param logits those of the last token; those of unused tokens become -∞ */
  accept(logits: Float32Array): void {
    const { request, ids } = this
    if (ids.length === this.promptTokens) this.#firstToken = performance.now()
    for (const unused of this.#unused) logits[unused] = -Infinity
    const mask = this.#maskAfter([])
    const id = this.#sampler.choose(logits, ids, this.promptTokens, mask)
    const logprobs = request.logprobs >= 0 ? this.#logprobs(logits, id, mask) : {}
    ids.push(id)
    const ended = (!request.ignoreEndOfText && this.#ends.has(id)) || request.stopTokens.includes(id)
    let text = ended ? '' : this.#filter.push(this.#decoder.push(id))
    const full = ids.length - this.promptTokens >= request.maxTokens || ids.length >= this.#context
    const reason = ended || this.#filter.stopped ? 'stop' : full ? 'length' : undefined
    // Half a character at the end is dropped.
    if (reason !== undefined) text += this.#filter.end()
    this.events.push({ type: 'token', id, text, ...logprobs })
    if (reason !== undefined) this.finish(reason)
  }

  #logprobs(
    logits: Float32Array,
    id: number,
    mask: TokenMask | undefined
  ): { logprob: number; top: { id: number; text: string; logprob: number }[] } {
    const { logprob, top } = logprobsOf(logits, id, this.request.logprobs, mask)
    return { logprob, top: top.map(t => ({ ...t, text: Buffer.from(this.#tokenizer.tokenBytes(t.id)).toString() })) }
  }

  finish(reason: EndReason): void {
    if (this.#finished) return
    this.#finished = true
    const now = performance.now()
    const begun = this.#begun || now
    const first = this.#firstToken || now
    this.events.push({
      type: 'end',
      reason,
      promptTokens: this.promptTokens,
      completionTokens: this.ids.length - this.promptTokens,
      timings: { promptMs: first - begun, predictedMs: now - first }
    })
    this.events.end()
  }

  fail(error: unknown): void {
    this.#finished = true
    this.events.fail(error)
  }
}

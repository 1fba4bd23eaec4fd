/** A loaded model that turns text into text. Generations run side by side on one plan; see scheduler.ts. Made by `loadModel`. */
import type { Executor } from '../exec/plan.ts'
import { VeritError } from '../lib/errors.ts'
import { inTurns } from '../lib/steps.ts'
import { parameterCount } from '../model/parameters.ts'
import type { LoadedModel } from '../model/load-gguf.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { Digest } from '../trust/digest.ts'
import { cacheSize } from './cache-size.ts'
import type { CacheOptions } from './cache-size.ts'
import type { Conversation } from '../model/conversation.ts'
import { ChatFormat } from './chat-format.ts'
import type { ChatMessage, ChatOptions } from './chat-format.ts'
import { chatWarnings } from './check-chat.ts'
import { MOST_GUESSES } from './guess-room.ts'
import { PageCache } from './page-cache.ts'
import { checkRequest, mostPromptBytes, sizeOf } from './request.ts'
import type { GenerateRequest } from './request.ts'
import { rowCost } from './row-cost.ts'
import { Scheduler } from './scheduler.ts'
import { Sequence } from './sequence.ts'
import type { GenerateEvent } from './sequence.ts'
import { ServingModel } from './serving-model.ts'

export type { ChatMessage } from './chat-format.ts'
export type { GenerateRequest } from './request.ts'
export type { EndReason, GenerateEvent } from './sequence.ts'

export interface ModelInfo {
  readonly name: string
  readonly architecture: 'gpt' | 'bitnet'
  readonly parameters: number
  readonly vocabSize: number
  /** Positions of a sequence: prompt and answer. */
  readonly context: number
  /** What the model itself allows: more than `context` where less was asked for, or the cache has no room for more. */
  readonly modelContext: number
  /** SHA-256 of the file. */
  readonly digest: Digest
  /** 'native avx512', 'reference' and the like. */
  readonly executor: string
  readonly threads: number
  /** Jinja template of conversations, of the file or as it was given. Absent: plain turns. */
  readonly chatTemplate?: string
  readonly conversation: ConversationInfo
}

/** How conversations become prompts and how answers end, with the source of each part. */
export interface ConversationInfo {
  /** A key of the file, or the name of a template file. Absent: plain turns. */
  readonly templateSource?: string
  readonly beginToken?: { readonly id: number; readonly text: string; readonly source: string }
  /** Whether a prompt begins with that token. */
  readonly addsBegin: boolean
  readonly endTokens: readonly { readonly id: number; readonly text: string; readonly source: string }[]
  /** Sentences on what is missing, contradicts or does not fit the model. Text from the file in them is escaped. */
  readonly warnings: readonly string[]
}

export interface EngineOptions extends CacheOptions {
  /** Rows of one run at most: a token of every answer, and pieces of prompts. Default 256. */
  rows?: number | undefined
  /** Generations that may wait when every slot is taken or the cache is full; the next one is refused. Default 64. */
  queue?: number | undefined
  /**
   * Whether next tokens are guessed from the text so far and several verified in one run (docs/generation.md); or, where it was measured, what one more row costs in a run of few rows, in
   * runs of one row, 0 to 1: 0 verifies every guess. Default: by what was measured for the instruction set and the kind of model, and not where it is not known to pay. Results do not depend on it.
   */
  speculate?: boolean | number | undefined
}

/** The parts of a model file that an engine needs. */
export interface EngineParts extends LoadedModel {
  readonly name: string
  readonly digest: Digest
  /** What the file says about conversations. Default: no template, and the tokenizer's end of text. */
  readonly conversation?: Conversation | undefined
  /** Further tokens that end an answer. */
  readonly ends?: readonly number[]
}

/** What is left of a generation that was cancelled while its prompt was encoded. */
const CANCELLED: GenerateEvent = { type: 'end', reason: 'cancelled', promptTokens: 0, completionTokens: 0, timings: { promptMs: 0, predictedMs: 0 } }

export class Engine implements AsyncDisposable {
  readonly info: ModelInfo
  readonly tokenizer: TextTokenizer
  #model: ServingModel
  #cache: PageCache
  #scheduler: Scheduler
  #chat: ChatFormat
  #ends: ReadonlySet<number>
  #closed = false

  constructor(executor: Executor, parts: EngineParts, options: EngineOptions = {}) {
    const { config, tokenizer, conversation } = parts, chatTemplate = conversation?.template?.text
    this.tokenizer = tokenizer
    const weightBytes = parts.weights.bytes.byteLength, size = cacheSize(config, weightBytes, options)
    const cost = rowCost(executor.name, config.kind, options.speculate)
    this.#model = new ServingModel(executor, config, parts.weights, { ...size, rows: options.rows, outputs: cost === undefined ? undefined : MOST_GUESSES + 1 })
    this.#cache = new PageCache(size.pages)
    this.#scheduler = new Scheduler(this.#model, this.#cache, options.queue ?? 64, cost)
    this.#chat = new ChatFormat(chatTemplate, tokenizer)
    const ends = [tokenizer.endOfText, ...conversation?.ends.map(t => t.id) ?? [], ...parts.ends ?? []]
    this.#ends = new Set(ends.filter(id => id !== undefined))
    this.info = {
      name: parts.name, architecture: config.kind, parameters: parameterCount(config), vocabSize: config.vocab, context: this.#model.context, modelContext: config.context,
      digest: parts.digest, executor: executor.name, threads: executor.threads, ...(chatTemplate !== undefined && { chatTemplate }),
      conversation: conversationInfo(conversation, this.#chat, tokenizer),
    }
  }

  /** Generations under way and waiting, and how many can be under way. */
  get load(): { running: number; waiting: number; slots: number } {
    return { ...this.#scheduler.load, slots: this.#model.slots }
  }

  /** Pages of the key and value cache (16 positions each): all, held by sequences, promised to them, kept for a tenant's next prompts; and the tokens that those have saved so far. */
  get cache(): { pages: number; held: number; promised: number; kept: number; reusedTokens: number } {
    const { pages, reusedTokens, load } = this.#cache
    return { pages, ...load, reusedTokens }
  }

  /** Draft tokens that were checked, and how many of them were accepted, since the model was loaded. */
  get guesses(): { drafted: number; accepted: number } {
    return this.#scheduler.guesses
  }

  /** UTF-8 bytes of a prompt's text beyond which it is refused unread: it cannot fit into the context. Infinity where only encoding can tell. */
  get mostPromptBytes(): number {
    return mostPromptBytes({ tokenizer: this.tokenizer, context: this.info.context })
  }

  /** What ends an answer of a chat beside the end of text: a model that knows no turns writes the user's next one itself. */
  get chatStop(): readonly string[] {
    return this.#chat.stop
  }

  /**
   * Generates, token by token: a 'start' event when it begins, 'token' events, one 'end' event. Stopping the iteration or aborting the signal ends it
   * and frees its place; an aborted one ends with reason 'cancelled'. A reader that falls behind pauses the generation.
   * @param tenant for whom: what the model has computed for a prompt is used again for later prompts of the same tenant that begin alike. Default: no such use. The answer is the same.
   * Long prompts are encoded in slices, so that other generations go on meanwhile.
   * @throws VeritError VERIT_REQUEST, VERIT_TOKEN_ID, VERIT_CHAT, VERIT_PROMPT_LENGTH, VERIT_BUSY, VERIT_ENGINE_CLOSED, VERIT_LOGITS
   */
  async *generate(request: GenerateRequest, signal?: AbortSignal, tenant?: string): AsyncGenerator<GenerateEvent, void> {
    this.#checkOpen()
    const target = { tokenizer: this.tokenizer, chat: this.#chat, context: this.info.context }
    const checked = await inTurns(checkRequest(request, target), { size: sizeOf(request), signal })
    this.#checkOpen()
    if (checked === undefined) return yield CANCELLED
    const sequence: Sequence = new Sequence(checked, this.tokenizer, this.#ends, this.info.context, () => {
      if (!sequence.finished) this.#scheduler.wake()
    }, tenant)
    const cancel = (): void => this.#scheduler.cancel(sequence)
    signal?.addEventListener('abort', cancel)
    try {
      if (signal?.aborted) sequence.finish('cancelled')
      else this.#scheduler.submit(sequence)
      yield* sequence.events
    } finally {
      signal?.removeEventListener('abort', cancel)
      cancel()
    }
  }

  /**
   * The tokens of a conversation up to the assistant's next answer, by the file's chat template or a plain one. Special tokens come from the template
   * alone, whatever the messages say.
   * @throws VeritError VERIT_CHAT
   */
  chatPrompt(messages: readonly ChatMessage[], options?: ChatOptions): number[] {
    return this.#chat.prompt(messages, options)
  }

  #checkOpen(): void {
    if (this.#closed) throw new VeritError('VERIT_ENGINE_CLOSED', { model: this.info.name })
  }

  /** Ends every generation (reason 'cancelled') and frees the memory. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#scheduler.close()
    this.#model[Symbol.dispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function conversationInfo(
  conversation: Conversation | undefined, format: ChatFormat, tokenizer: TextTokenizer,
): ConversationInfo {
  if (conversation === undefined) return { addsBegin: tokenizer.addsBegin, endTokens: [], warnings: [] }
  const { template, begin, addsBegin, ends, warnings } = conversation
  return {
    ...template !== undefined && { templateSource: template.source }, ...begin !== undefined && { beginToken: begin },
    addsBegin: addsBegin.value, endTokens: ends.map(({ id, text, source }) => ({ id, text, source })),
    warnings: [...warnings, ...chatWarnings(conversation, format, tokenizer)],
  }
}

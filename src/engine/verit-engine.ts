/**
 * Verit's own engine: implements `Engine` on plans of src/exec, bit-exact on every machine. Generations share one plan
 * (scheduler.ts).
 */
import type { Executor } from '../exec/plan.ts'
import { VeritError } from '../lib/errors.ts'
import { inTurns } from '../lib/steps.ts'
import { isTernaryModel, parameterCount } from '../model/parameters.ts'
import type { LoadedModel } from '../model/load-gguf.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { Digest } from '../trust/digest.ts'
import { cacheSize } from './cache-size.ts'
import type { CacheOptions } from './cache-size.ts'
import type { Conversation } from '../model/conversation.ts'
import { ChatFormat } from './chat-format.ts'
import type { ChatMessage, ChatOptions } from './chat-format.ts'
import { chatWarnings } from './check-chat.ts'
import type { CacheFigures, ConversationInfo, Engine, EngineCapabilities, GenerateEvent, ModelInfo } from './engine.ts'
import { Embedder } from './embedder.ts'
import type { Pooling } from './embedder.ts'
import { MOST_DRAFT_TOKENS, rowCost } from './drafts.ts'
import { PageCache } from './page-cache.ts'
import { checkRequest, mostPromptBytes, sizeOf } from './request.ts'
import type { GenerateRequest } from './request.ts'
import { answersOf, rerankPrompts } from './rerank.ts'
import type { RerankRequest } from './rerank.ts'
import { Scheduler } from './scheduler.ts'
import { Sequence } from './sequence.ts'
import { ServingModel } from './serving-model.ts'

export interface EngineOptions extends CacheOptions {
  /** Rows of one run at most: a token of every answer, and pieces of prompts. Default 256. */
  rows?: number | undefined
  /** Generations that may wait when every slot is taken or the cache is full; the next one is refused. Default 64. */
  queue?: number | undefined
  /**
   * Speculative decoding by prompt lookup (docs/internals/generation.md): true, false, or the measured cost of an
   * additional row in a run of few rows, as a share of a run of one row, 0 to 1; 0 verifies every draft. Default: on
   * for instruction sets and models for which measurements show a gain. Results do not depend on it.
   */
  speculate?: boolean | number | undefined
}

/** The parts of a model file that an engine needs. */
export interface EngineParts extends LoadedModel {
  readonly name: string
  readonly digest: Digest
  /** Conversation settings of the file. Default: no template, and the tokenizer's end of text. */
  readonly conversation?: Conversation | undefined
  /** How hidden states become a vector. Default: the last one. */
  readonly pooling?: Pooling | undefined
  /** Further tokens that end an answer. */
  readonly ends?: readonly number[]
}

/** The only event of a generation that was cancelled while its prompt was encoded. */
const CANCELLED: GenerateEvent = {
  type: 'end',
  reason: 'cancelled',
  promptTokens: 0,
  completionTokens: 0,
  timings: { promptMs: 0, predictedMs: 0 }
}

/** Its name in engines.ts. */
const NAME = 'verit'

const CAPABILITIES: EngineCapabilities = {
  bitExact: true,
  logProbabilities: true,
  constrainedOutput: false,
  embeddings: true
}

export class VeritEngine implements Engine {
  readonly info: ModelInfo
  readonly tokenizer: TextTokenizer
  #model: ServingModel
  #cache: PageCache
  #scheduler: Scheduler
  #chat: ChatFormat
  #ends: ReadonlySet<number>
  #closed = false
  #pooling: Pooling
  #around: { readonly begin: readonly number[]; readonly end: readonly number[] }
  #makeEmbedder: () => Embedder
  /** Made at its first use. */
  #embedder: Embedder | undefined

  constructor(executor: Executor, parts: EngineParts, options: EngineOptions = {}) {
    const { config, tokenizer, conversation } = parts
    const chatTemplate = conversation?.template?.text
    this.tokenizer = tokenizer
    const weightBytes = parts.weights.bytes.byteLength
    const size = cacheSize(config, weightBytes, options)
    const cost = rowCost(executor.name, isTernaryModel(config), options.speculate)
    const outputs = cost === undefined ? undefined : MOST_DRAFT_TOKENS + 1
    this.#model = new ServingModel(executor, config, parts.weights, { ...size, rows: options.rows, outputs })
    this.#cache = new PageCache(size.pages)
    this.#scheduler = new Scheduler(this.#model, this.#cache, options.queue ?? 64, cost)
    this.#chat = new ChatFormat(chatTemplate, tokenizer)
    const ends = [tokenizer.endOfText, ...(conversation?.ends.map(t => t.id) ?? []), ...(parts.ends ?? [])]
    this.#pooling = parts.pooling ?? 'last'
    this.#around = aroundText(conversation, tokenizer)
    const { context } = this.#model
    this.#makeEmbedder = () => new Embedder(executor, config, parts.weights, context)
    this.#ends = new Set(ends.filter(id => id !== undefined))
    this.info = {
      name: parts.name,
      architecture: config.kind,
      parameters: parameterCount(config),
      vocabSize: config.vocab,
      context: this.#model.context,
      modelContext: config.context,
      cacheType: this.#model.cacheType,
      digest: parts.digest,
      engine: NAME,
      capabilities: CAPABILITIES,
      executor: executor.name,
      threads: executor.threads,
      ...(chatTemplate !== undefined && { chatTemplate }),
      conversation: conversationInfo(conversation, this.#chat, tokenizer)
    }
  }

  get load(): Engine['load'] {
    return { ...this.#scheduler.load, slots: this.#model.slots }
  }

  get cache(): CacheFigures {
    const { pages, reusedTokens, load } = this.#cache
    return { pages, ...load, reusedTokens }
  }

  get drafts(): Engine['drafts'] {
    return this.#scheduler.drafts
  }

  get mostPromptBytes(): number {
    return mostPromptBytes({ tokenizer: this.tokenizer, context: this.info.context })
  }

  get chatStop(): readonly string[] {
    return this.#chat.stop
  }

  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
    tenant?: string
  ): AsyncGenerator<GenerateEvent, void> {
    this.#checkOpen()
    const target = { tokenizer: this.tokenizer, chat: this.#chat, context: this.info.context }
    const checked = await inTurns(checkRequest(request, target), { size: sizeOf(request), signal })
    this.#checkOpen()
    if (checked === undefined) return yield CANCELLED
    const sequence: Sequence = new Sequence(
      checked,
      this.tokenizer,
      this.#ends,
      this.info.context,
      () => {
        if (!sequence.finished) this.#scheduler.wake()
      },
      tenant
    )
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

  chatPrompt(messages: readonly ChatMessage[], options?: ChatOptions): number[] {
    return this.#chat.prompt(messages, options)
  }

  async embed(inputs: readonly (string | readonly number[])[], signal?: AbortSignal): Promise<Float32Array[]> {
    this.#checkOpen()
    const texts: Int32Array[] = []
    for (const input of inputs) texts.push(await this.#tokens(input, signal))
    return await this.#embedding().embed(texts, this.#pooling, signal)
  }

  async rerank(request: RerankRequest, signal?: AbortSignal): Promise<number[]> {
    this.#checkOpen()
    const answers = answersOf(this.tokenizer, NAME)
    const texts = rerankPrompts(this.tokenizer, request)
    for (const { length } of texts) this.#checkLength(length)
    return await this.#embedding().compare(texts, answers, signal)
  }

  /** Token ids of an input, with the begin and end tokens that the file asks for around a text. */
  async #tokens(input: string | readonly number[], signal: AbortSignal | undefined): Promise<Int32Array> {
    if (typeof input !== 'string') {
      const bad = input.find(id => !Number.isInteger(id) || id < 0 || id >= this.info.vocabSize)
      if (bad !== undefined) throw new VeritError('VERIT_TOKEN_ID', { id: bad, vocabSize: this.info.vocabSize })
      this.#checkLength(input.length)
      return Int32Array.from(input)
    }
    const ids = await inTurns(this.tokenizer.encoding(input, this.info.context), { size: input.length, signal })
    if (ids === undefined) {
      signal?.throwIfAborted()
      return this.#tooLong()
    }
    const around = this.#around
    const all = [...around.begin, ...ids, ...around.end]
    this.#checkLength(all.length)
    return Int32Array.from(all)
  }

  #checkLength(length: number): void {
    if (length === 0) throw new VeritError('VERIT_REQUEST', { field: 'input', problem: 'must have at least one token' })
    if (length > this.info.context) this.#tooLong(length)
  }

  /** @param length absent: the encoding ended when the context was full */
  #tooLong(length?: number): never {
    const { context } = this.info
    throw new VeritError('VERIT_PROMPT_LENGTH', { tokens: length ?? context, context, orMore: length === undefined })
  }

  #embedding(): Embedder {
    return (this.#embedder ??= this.#makeEmbedder())
  }

  #checkOpen(): void {
    if (this.#closed) throw new VeritError('VERIT_ENGINE_CLOSED', { model: this.info.name })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#scheduler.close()
    this.#embedder?.[Symbol.dispose]()
    this.#model[Symbol.dispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** The tokens that the file asks for before and after a text. */
function aroundText(
  conversation: Conversation | undefined,
  tokenizer: TextTokenizer
): { begin: readonly number[]; end: readonly number[] } {
  const begin = conversation?.begin?.id ?? tokenizer.beginOfText
  const adds = conversation?.addsBegin.value ?? tokenizer.addsBegin
  const end = conversation?.ends.find(token => token.role === 'eos')?.id ?? tokenizer.endOfText
  return {
    begin: adds && begin !== undefined ? [begin] : [],
    end: conversation?.addsEnd === true && end !== undefined ? [end] : []
  }
}

function conversationInfo(
  conversation: Conversation | undefined,
  format: ChatFormat,
  tokenizer: TextTokenizer
): ConversationInfo {
  if (conversation === undefined) return { addsBegin: tokenizer.addsBegin, endTokens: [], warnings: [] }
  const { template, begin, addsBegin, ends, warnings } = conversation
  return {
    ...(template !== undefined && { templateSource: template.source }),
    ...(begin !== undefined && { beginToken: begin }),
    addsBegin: addsBegin.value,
    endTokens: ends.map(({ id, text, source }) => ({ id, text, source })),
    warnings: [...warnings, ...chatWarnings(conversation, format, tokenizer)]
  }
}

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
import { requireCapability } from './engine.ts'
import type { CacheFigures, ConversationInfo, Engine, EngineCapabilities, GenerateEvent, ModelInfo } from './engine.ts'
import { MOST_DRAFT_TOKENS, rowCost } from './drafts.ts'
import { PageCache } from './page-cache.ts'
import { checkRequest, mostPromptBytes, sizeOf } from './request.ts'
import type { GenerateRequest } from './request.ts'
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
  embeddings: false
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

  /** Not supported yet. */
  async embed(): Promise<Float32Array[]> {
    this.#checkOpen()
    requireCapability(this.info, 'embeddings', 'embeddings')
    return []
  }

  #checkOpen(): void {
    if (this.#closed) throw new VeritError('VERIT_ENGINE_CLOSED', { model: this.info.name })
  }

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

/**
 * The interface of all engines. An engine runs one loaded model: text in, tokens out. Code above this folder depends on
 * this file and on `loadModel`, never on one engine. A new engine is one file with a loader and one row in engines.ts.
 */
import type { CacheType } from '../arch/architecture.ts'
import { VeritError } from '../lib/errors.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { Digest } from '../trust/digest.ts'
import type { ChatMessage, ChatOptions } from './chat-format.ts'
import type { RerankRequest } from './rerank.ts'
import type { GenerateRequest } from './request.ts'

export type { ChatMessage } from './chat-format.ts'
export type { RerankRequest } from './rerank.ts'
export type { GenerateRequest } from './request.ts'

/** A loaded model: generates text, encodes and decodes tokens. `loadModel` returns one. */
export interface Engine extends AsyncDisposable {
  readonly info: ModelInfo
  readonly tokenizer: TextTokenizer
  /** Running and waiting generations, and the maximum that run at once. */
  readonly load: { readonly running: number; readonly waiting: number; readonly slots: number }
  /**
   * Pages of the KV cache (16 positions each), and prompt tokens served from its prefix cache so far; 0 for engines
   * without such a cache.
   */
  readonly cache: CacheFigures
  /** Draft tokens that the model ran, and those of them that were accepted, since it was loaded. */
  readonly drafts: { readonly drafted: number; readonly accepted: number }
  /**
   * UTF-8 bytes beyond which the text of a prompt is refused unread: it cannot fit the context. Infinity where only
   * encoding can tell.
   */
  readonly mostPromptBytes: number
  /**
   * Strings that end a chat answer besides the end tokens: a model without a notion of turns writes the user's next
   * turn itself.
   */
  readonly chatStop: readonly string[]

  /**
   * Generates token by token: a 'start' event, 'token' events, one 'end' event. Stopping the iteration or aborting the
   * signal ends the generation and frees its slot; an aborted one ends with reason 'cancelled'. A slow reader pauses
   * the generation. Long prompts are encoded in slices, so other generations continue.
   * @param tenant whose prefix cache the prompt may use and extend. Default: none. The answer is the same
   * @throws VeritError VERIT_REQUEST, VERIT_TOKEN_ID, VERIT_CHAT, VERIT_PROMPT_LENGTH, VERIT_PROMPT_LIMIT, VERIT_BUSY,
   *   VERIT_ENGINE_CLOSED, VERIT_LOGITS, VERIT_UNSUPPORTED for a parameter that needs a missing capability
   */
  generate(request: GenerateRequest, signal?: AbortSignal, tenant?: string): AsyncGenerator<GenerateEvent, void>

  /**
   * The tokens of a conversation up to the assistant's next answer, by the model's chat template or plain turns. Only
   * the template can produce special tokens, whatever the messages contain.
   * @throws VeritError VERIT_CHAT
   */
  chatPrompt(messages: readonly ChatMessage[], options?: ChatOptions): number[]

  /**
   * One vector [hidden] of length 1 per input, by the pooling that the file names (default: the last token). A vector
   * does not depend on the other inputs. `info.capabilities.embeddings` tells whether the engine supports it.
   * @param inputs texts or token ids, at most the context each; a text gets the begin and end tokens of the file
   * @throws VeritError VERIT_UNSUPPORTED, VERIT_REQUEST, VERIT_TOKEN_ID, VERIT_PROMPT_LENGTH
   */
  embed(inputs: readonly (string | readonly number[])[], signal?: AbortSignal): Promise<Float32Array[]>

  /**
   * The score of each document for the query, 0 to 1, in the form of Qwen3-Reranker: the probability of "yes" against
   * "no".
   * @throws VeritError VERIT_UNSUPPORTED for a model whose vocabulary lacks the marks of this form, VERIT_PROMPT_LENGTH
   */
  rerank(request: RerankRequest, signal?: AbortSignal): Promise<number[]>

  /** Ends every generation (reason 'cancelled') and frees the memory. */
  close(): Promise<void>
}

/** Capabilities of an engine with the loaded model. */
export interface EngineCapabilities {
  /**
   * The same request gives the same bits on every machine, with any number of threads and any other requests
   * (docs/internals/arithmetic.md).
   */
  readonly bitExact: boolean
  /** `logprobs` of a request. */
  readonly logProbabilities: boolean
  /** Answers that follow a grammar or a schema. */
  readonly constrainedOutput: boolean
  /** `embed` and `rerank`. */
  readonly embeddings: boolean
}

/**
 * Pages of the KV cache: all, held by generations, promised to them, kept for the prefix cache; and prompt tokens
 * served from the prefix cache.
 */
export interface CacheFigures {
  readonly pages: number
  readonly held: number
  readonly promised: number
  readonly kept: number
  readonly reusedTokens: number
}

/** Facts about a loaded model: architecture, sizes, context, digest, executor. */
export interface ModelInfo {
  readonly name: string
  /** The kind of its architecture. */
  readonly architecture: string
  readonly parameters: number
  readonly vocabSize: number
  /** Context length: the maximum number of tokens of prompt and answer together. */
  readonly context: number
  /** The model's own context length: more than `context` where an option or the cache limits it. */
  readonly modelContext: number
  /** Element type of the KV cache. Results depend on it. */
  readonly cacheType: CacheType
  /** SHA-256 of the file. */
  readonly digest: Digest
  /** The engine's name in engines.ts. */
  readonly engine: string
  readonly capabilities: EngineCapabilities
  /** 'native avx512', 'reference' and the like. */
  readonly executor: string
  readonly threads: number
  /** Jinja template of conversations, from the file or from the option. Absent: plain turns. */
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
  /**
   * Problems of the conversation settings, one sentence each: missing, contradictory or unsuitable parts. Text from the
   * file is escaped.
   */
  readonly warnings: readonly string[]
}

/** An event of a generation: one `start`, then `token` events, then one `end`. */
export type GenerateEvent =
  /**
   * `cachedTokens`: prompt tokens served from the tenant's prefix cache. `date`: the date in the prompt, where the chat
   * template asked for one.
   */
  | { type: 'start'; promptTokens: number; cachedTokens: number; seed: number; date?: string }
  /**
   * `text` may be empty while a character is incomplete or a stop string may be starting; the end-of-text token has one
   * of these, too.
   */
  | { type: 'token'; id: number; text: string; logprob?: number; top?: { id: number; text: string; logprob: number }[] }
  | {
      type: 'end'
      reason: EndReason
      promptTokens: number
      completionTokens: number
      timings: { promptMs: number; predictedMs: number }
    }

/** 'stop': an end token or a stop string; 'length': `maxTokens` or the context is used up. */
export type EndReason = 'stop' | 'length' | 'cancelled'

/**
 * @throws VeritError VERIT_UNSUPPORTED if the engine lacks a capability.
 * @param what the feature, for the message
 */
export function requireCapability(
  { engine, capabilities }: Pick<ModelInfo, 'engine' | 'capabilities'>,
  capability: keyof EngineCapabilities,
  what: string
): void {
  if (!capabilities[capability]) throw new VeritError('VERIT_UNSUPPORTED', { what, engine })
}

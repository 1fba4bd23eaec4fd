/**
 * The messages between gateway and runner. Each side checks every message against these schemas: an unknown type, an
 * unknown field or a value out of range ends the connection. A call has at most UNREAD unread tokens; `more`
 * acknowledges some.
 */
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { VeritError } from '../lib/errors.ts'
import { samplingParameters } from '../sampler/parameters.ts'
import type { SamplingOptions } from '../sampler/parameters.ts'
import { LOAD_LIMIT, MOST_BODY, toRunnerLimit } from './frames.ts'
import { CacheTypeSchema, loadSettingFields } from './load-settings.ts'
import { ALTERNATIVES, EVENT_TEXT, TOKEN_TEXT } from './text-limits.ts'

/**
 * Longest text of a prompt, or of all messages of a conversation, in UTF-16 units: the engine takes no longer one, so
 * it need not be sent.
 */
export const MOST_PROMPT_TEXT = 1 << 20

/**
 * Tokens of one call that may be sent before the reader has taken the first of them: a reader that stops pauses its
 * generation.
 */
export const UNREAD = 64

const closed = { additionalProperties: false } as const
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const CallId = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const TokenId = Type.Integer({ minimum: 0, maximum: 0x7fffffff })
const finite = Type.Number()
const CalendarDate = Type.String({ pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' })
const shortText = Type.String({ maxLength: 256 })

export const ChatMessage = Type.Object(
  {
    role: Type.Union([Type.Literal('system'), Type.Literal('user'), Type.Literal('assistant')]),
    content: Type.String()
  },
  closed
)
export type ChatMessage = Static<typeof ChatMessage>

/** A row for each sampling parameter; the engine checks the ranges. */
const samplingFields = Object.fromEntries(
  Object.entries(samplingParameters).map(([name, p]) => [name, Type.Optional('whole' in p ? count : finite)])
) as {
  [K in keyof SamplingOptions]: Type.TOptional<Type.TNumber>
}

/** Sampling parameters of the engine; absent ones take the engine's defaults. */
export const Sampling = Type.Object(
  {
    maxTokens: Type.Optional(count),
    maxPromptTokens: Type.Optional(count),
    ...samplingFields,
    stop: Type.Optional(Type.Array(Type.String({ minLength: 1 }))),
    logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 20 })),
    echo: Type.Optional(Type.Boolean()),
    ignoreEndOfText: Type.Optional(Type.Boolean()),
    date: Type.Optional(CalendarDate)
  },
  closed
)
export type Sampling = Static<typeof Sampling>

/** Text, token ids, or a conversation that the model's chat template turns into a prompt. */
export const Prompt = Type.Union([
  Type.Object({ text: Type.String() }, closed),
  Type.Object({ tokens: Type.Array(TokenId) }, closed),
  Type.Object({ messages: Type.Array(ChatMessage) }, closed)
])
export type Prompt = Static<typeof Prompt>

const ToRunner = Type.Union([
  Type.Object(
    {
      type: Type.Literal('load'),
      name: Type.String(),
      ...loadSettingFields,
      chatTemplate: Type.Optional(
        Type.Object({ text: Type.String({ maxLength: 64 << 10 }), source: Type.String({ maxLength: 4096 }) }, closed)
      ),
      endTokens: Type.Optional(Type.Array(shortText, { maxItems: 64 })),
      digest: Type.Optional(Type.String({ pattern: '^sha256:[0-9a-f]{64}$' })),
      requireSandbox: Type.Optional(Type.Boolean()),
      // the largest frame that comes after this one
      frameBytes: Type.Optional(Type.Integer({ minimum: LOAD_LIMIT, maximum: toRunnerLimit(MOST_BODY) }))
    },
    closed
  ),
  // prompts may use the prefix cache of the same tenant only
  Type.Object(
    {
      type: Type.Literal('generate'),
      id: CallId,
      prompt: Prompt,
      sampling: Sampling,
      tenant: Type.Optional(shortText)
    },
    closed
  ),
  Type.Object({ type: Type.Literal('cancel'), id: CallId }, closed),
  Type.Object(
    { type: Type.Literal('more'), id: CallId, tokens: Type.Integer({ minimum: 1, maximum: UNREAD }) },
    closed
  ),
  Type.Object({ type: Type.Literal('ping'), id: CallId }, closed),
  Type.Object({ type: Type.Literal('close') }, closed)
])
export type ToRunner = Static<typeof ToRunner>

/** An error of the table by its code and fields: its words are then those of the gateway's own table. */
const Failure = {
  code: Type.String({ pattern: '^VERIT_[A-Z0-9_]{1,40}$' }),
  fields: Type.Record(
    Type.String({ pattern: '^[a-zA-Z]{1,32}$' }),
    Type.Union([Type.String({ maxLength: 2000 }), finite, Type.Boolean()])
  )
}

/**
 * The locks that the runner holds before it reads the model (docs/internals/sandbox.md). It reports them in a separate
 * message, before a byte of the file could influence it.
 */
export const Sandbox = Type.Object(
  {
    /** Whether there was native code to lock with. */
    native: Type.Boolean(),
    /** No new rights, no capabilities, no core files, few descriptors. */
    noNewPrivs: Type.Boolean(),
    /** Version of Landlock's interface; 0: not locked. */
    landlock: Type.Integer({ minimum: 0, maximum: 1000 }),
    seccomp: Type.Boolean(),
    /** Executable memory in the JavaScript engine's range only. */
    codeRange: Type.Boolean(),
    /** No io_uring is open: operations in one would pass the list of system calls by. */
    noRing: Type.Boolean(),
    /** The runner was started in place of another process, with no descriptor that the gateway inherited. */
    ownDescriptors: Type.Boolean(),
    /** Memory that it may add to Node's own; 0: no ceiling. */
    memoryBytes: count
  },
  closed
)
export type Sandbox = Static<typeof Sandbox>

/** Conversation settings, for the operator. Text from the runner may come from a hostile file. */
const Conversation = Type.Object(
  {
    templateSource: Type.Optional(shortText),
    addsBegin: Type.Boolean(),
    endTokens: Type.Array(shortText, { maxItems: 16 }),
    warnings: Type.Array(Type.String({ maxLength: 512 }), { maxItems: 8 })
  },
  closed
)

export type LoadedConversation = Static<typeof Conversation>

/** Capabilities of the engine with this model. The gateway shows them and decides nothing by them. */
const Capabilities = Type.Object(
  {
    bitExact: Type.Boolean(),
    logProbabilities: Type.Boolean(),
    constrainedOutput: Type.Boolean(),
    embeddings: Type.Boolean()
  },
  closed
)

/**
 * The runner's statements about its model. The gateway shows them; a false number can only make it refuse more of this
 * runner's own work, never allow more.
 */
const LoadedInfo = Type.Object(
  {
    name: shortText,
    architecture: shortText,
    parameters: count,
    vocabSize: count,
    context: Type.Integer({ minimum: 1, maximum: 0x7fffffff }),
    modelContext: Type.Integer({ minimum: 1, maximum: 0x7fffffff }),
    executor: shortText,
    threads: count,
    /** Name and capabilities of the engine. */
    engine: Type.Optional(shortText),
    capabilities: Type.Optional(Capabilities),
    /**
     * UTF-8 bytes of a prompt's text beyond which the runner refuses it unread; absent where only encoding can tell.
     */
    promptBytes: Type.Optional(count),
    conversation: Type.Optional(Conversation),
    cacheType: Type.Optional(CacheTypeSchema)
  },
  closed
)
/** With the locks reported before it was loaded. */
export type ModelInfo = Static<typeof LoadedInfo> & { sandbox: Sandbox }

/**
 * State of the engine. Pages of the KV cache: all, those of running sequences, those reserved for them, and those in
 * the prefix caches of tenants. Draft tokens since the model was loaded: those that the model ran, and
 * those of them that were accepted.
 */
const Figures = Type.Object(
  { pages: count, held: count, promised: count, kept: count, drafted: count, accepted: count },
  closed
)
export type Figures = Static<typeof Figures>

const FromRunner = Type.Union([
  Type.Object({ type: Type.Literal('locked'), sandbox: Sandbox }, closed),
  Type.Object({ type: Type.Literal('ready'), info: LoadedInfo }, closed),
  Type.Object({ type: Type.Literal('failed'), ...Failure }, closed),
  // with the engine's figures, once there is one
  Type.Object({ type: Type.Literal('pong'), id: CallId, figures: Type.Optional(Figures) }, closed),
  Type.Object(
    {
      type: Type.Literal('start'),
      id: CallId,
      promptTokens: count,
      cachedTokens: count,
      seed: count,
      date: Type.Optional(CalendarDate)
    },
    closed
  ),
  Type.Object(
    {
      type: Type.Literal('token'),
      id: CallId,
      token: TokenId,
      text: Type.String({ maxLength: EVENT_TEXT }),
      logprob: Type.Optional(finite),
      top: Type.Optional(
        Type.Array(
          Type.Object({ token: TokenId, text: Type.String({ maxLength: TOKEN_TEXT }), logprob: finite }, closed),
          { maxItems: ALTERNATIVES }
        )
      )
    },
    closed
  ),
  Type.Object(
    {
      type: Type.Literal('end'),
      id: CallId,
      reason: Type.Union([Type.Literal('stop'), Type.Literal('length'), Type.Literal('cancelled')]),
      promptTokens: count,
      completionTokens: count,
      promptMs: finite,
      predictedMs: finite
    },
    closed
  ),
  Type.Object({ type: Type.Literal('error'), id: CallId, ...Failure }, closed)
])
export type FromRunner = Static<typeof FromRunner>
export type CallEvent = Extract<FromRunner, { type: 'start' | 'token' | 'end' }>

const toRunner = Compile(ToRunner)
const fromRunner = Compile(FromRunner)

/** @throws VeritError VERIT_RUNNER_FRAME */
export function checkToRunner(value: unknown): ToRunner {
  if (!toRunner.Check(value)) throw refused()
  return value
}

/** @throws VeritError VERIT_RUNNER_FRAME */
export function checkFromRunner(value: unknown): FromRunner {
  if (!fromRunner.Check(value)) throw refused()
  return value
}

/** Says nothing of the message: its text may be a prompt's or an attacker's. */
const refused = (): VeritError =>
  new VeritError('VERIT_RUNNER_FRAME', {
    problem: 'a message is of no known type, or has fields that its type does not'
  })

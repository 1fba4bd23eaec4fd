/** The request of a generation, and the one check that every request passes. */
import { randomInt } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import type { Steps } from '../lib/steps.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { ChatFormat, ChatMessage } from './chat-format.ts'
import { samplingParameters } from '../sampler/parameters.ts'
import type { SamplingOptions, SamplingRequest } from '../sampler/parameters.ts'
import type { TokenConstraint } from '../sampler/token-mask.ts'
import { isDate, TemplateDate } from './template-date.ts'
import type { TemplateVariables } from './template-variables.ts'

/** With the sampling parameters (`samplingParameters` has the range and the default of each). */
export interface GenerateRequest extends SamplingRequest {
  /**
   * Text, in which special tokens are plain text; token ids; or a conversation, which the model's chat template turns
   * into tokens, and which adds stop strings to `stop`. An empty text or list stands for the end-of-text token, which
   * begins a text.
   */
  prompt:
    | string
    | readonly number[]
    | { readonly messages: readonly ChatMessage[]; readonly variables?: TemplateVariables | undefined }
  /**
   * Date that the chat template sees, `YYYY-MM-DD`. Default: today in UTC, which the start event tells where the
   * template asked for it.
   */
  date?: string | undefined
  /** Tokens to make at most, 0 to 2^20; the model's context may end the answer before. Default 128. */
  maxTokens?: number | undefined
  /** Refuses a longer prompt before any work is done on it, 1 to 2^20. Default: the context less one. */
  maxPromptTokens?: number | undefined
  /**
   * Up to 16 strings of 1 to 256 UTF-16 units that end the answer and are not part of it. One that spells a special
   * token means that token, too.
   */
  stop?: readonly string[] | undefined
  /** Log probabilities: 0 of the chosen token alone, up to 20 of the most probable ones as well. Default none. */
  logprobs?: number | undefined
  /** Gives out the prompt's tokens first. Default false. */
  echo?: boolean | undefined
  /** Goes on after the end-of-text token. Default false. */
  ignoreEndOfText?: boolean | undefined
}

/** A request that was checked and completed. */
export interface CheckedRequest extends SamplingOptions {
  /** The date that the chat template requested; undefined if it did not. */
  readonly date: string | undefined
  readonly prompt: readonly number[]
  readonly maxTokens: number
  readonly stop: readonly string[]
  /** Special tokens that a stop string spells: they end the answer despite `ignoreEndOfText`. */
  readonly stopTokens: readonly number[]
  /** -1: none. */
  readonly logprobs: number
  readonly echo: boolean
  readonly ignoreEndOfText: boolean
  /** Which tokens may come next. Default: all. */
  readonly constraint?: TokenConstraint
}

/** Longest prompt text, in UTF-16 units. */
export const MAX_TEXT = 1 << 20
/** Additional tokens to count in a prompt that is too long, so that the error can tell its length. */
const COUNTED_ON = 1024

const fail = (field: string, problem: string): never => {
  throw new VeritError('VERIT_REQUEST', { field, problem })
}

type NumberField = 'maxTokens' | 'maxPromptTokens' | keyof SamplingOptions | 'logprobs'

/** Range and default of each number. */
export const requestNumbers: Readonly<
  Record<NumberField, { low: number; high: number; fallback: number; whole?: true }>
> = {
  maxTokens: { low: 0, high: 1 << 20, fallback: 128, whole: true },
  maxPromptTokens: { low: 1, high: 1 << 20, fallback: 1 << 20, whole: true },
  ...samplingParameters,
  logprobs: { low: 0, high: 20, fallback: -1, whole: true }
}

const OTHERS = ['prompt', 'stop', 'echo', 'ignoreEndOfText', 'date']

/** Purpose of a request. */
export interface RequestTarget {
  readonly tokenizer: TextTokenizer
  readonly chat: ChatFormat
  /** Positions that a sequence may have. */
  readonly context: number
}

/**
 * Checks a request, whatever it holds, in steps: its prompt may take long to encode. A prompt with more bytes than the
 * context can stand for is refused unread.
 * @throws VeritError VERIT_REQUEST naming the first field that is wrong (unknown fields are), VERIT_PROMPT_LENGTH,
 *   VERIT_PROMPT_LIMIT, VERIT_CHAT, or the tokenizer's
 */
export function* checkRequest(request: GenerateRequest, target: RequestTarget): Steps<CheckedRequest> {
  if (typeof request !== 'object' || request === null) return fail('The request', 'must be an object')
  const source = request as unknown as Record<string, unknown>
  for (const field of Object.keys(source)) {
    if (!Object.hasOwn(requestNumbers, field) && !OTHERS.includes(field))
      fail(JSON.stringify(field.slice(0, 40)), 'is not a parameter of a generation')
  }
  const numbers = Object.fromEntries(
    Object.entries(requestNumbers).map(([field, { low, high, fallback, whole }]) => {
      const value = source[field]
      if (value === undefined) return [field, fallback]
      if (typeof value === 'number' && value >= low && value <= high && (!whole || Number.isInteger(value)))
        return [field, value]
      return fail(field, `must be a ${whole ? 'whole ' : ''}number from ${low} to ${high}`)
    })
  ) as Record<NumberField, number>
  const flag = (field: string): boolean => {
    const value = source[field] ?? false
    return typeof value === 'boolean' ? value : fail(field, 'must be true or false')
  }
  const given = source['prompt']
  const stop = checkStop(source['stop'] ?? [])
  const echo = flag('echo')
  const ignoreEndOfText = flag('ignoreEndOfText')
  const date = checkDate(source['date'])
  const prompt = yield* checkPrompt(given, target, numbers.maxPromptTokens, date)
  return {
    ...numbers,
    prompt,
    date: date.asked ? date.date : undefined,
    echo,
    ignoreEndOfText,
    seed: numbers.seed < 0 ? randomInt(2 ** 47) : numbers.seed,
    stop: isChat(given) ? [...stop, ...target.chat.stop] : stop,
    stopTokens: specialsAmong(stop, target.tokenizer)
  }
}

function checkDate(value: unknown): TemplateDate {
  if (value === undefined) return new TemplateDate()
  return typeof value === 'string' && isDate(value)
    ? new TemplateDate(value)
    : fail('date', 'must be a date of the form YYYY-MM-DD')
}

function checkStop(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > 16) return fail('stop', 'must be a list of at most 16 strings')
  for (const s of value) {
    if (typeof s !== 'string' || s.length < 1 || s.length > 256 || !s.isWellFormed())
      return fail('stop', 'must hold strings of 1 to 256 characters of well-formed text')
  }
  return [...value] as string[]
}

/** Special tokens give no text, so a stop string could never be found in it. */
const specialsAmong = (texts: readonly string[], tokenizer: TextTokenizer): number[] =>
  texts.map(text => tokenizer.tokenId(text)).filter(id => id !== undefined && tokenizer.isSpecial(id)) as number[]

const isChat = (prompt: unknown): prompt is { messages: readonly ChatMessage[]; variables?: TemplateVariables } =>
  typeof prompt === 'object' && prompt !== null && 'messages' in prompt

function* checkPrompt(
  value: unknown,
  { tokenizer, chat, context }: RequestTarget,
  most: number,
  date: TemplateDate
): Steps<readonly number[]> {
  const limit = Math.min(most, context - 1)
  const counted = limit + COUNTED_ON
  /** @param tokens undefined: more than were counted */
  const within = (tokens: number | undefined): void => {
    if (tokens !== undefined && tokens <= limit) return
    const told = tokens === undefined ? { tokens: counted + 1, orMore: true as const } : { tokens }
    if (limit < context - 1) throw new VeritError('VERIT_PROMPT_LIMIT', { ...told, limit })
    throw new VeritError('VERIT_PROMPT_LENGTH', { ...told, context })
  }
  let ids: readonly number[]
  if (typeof value === 'string') {
    if (value.length > MAX_TEXT) return fail('prompt', `must be at most ${MAX_TEXT} characters long`)
    const { beginOfText, addsBegin } = tokenizer
    const begin = addsBegin && value !== '' ? [beginOfText!] : []
    const text = yield* encodeText(value, tokenizer, counted - begin.length)
    within(text === undefined ? undefined : begin.length + text.length)
    ids = [...begin, ...text!]
  } else if (Array.isArray(value)) {
    within(value.length)
    for (const id of value) {
      if (typeof id !== 'number' || !Number.isInteger(id)) return fail('prompt', 'must be text or a list of token ids')
      if (id < 0 || id >= tokenizer.vocabSize)
        throw new VeritError('VERIT_TOKEN_ID', { id, vocabSize: tokenizer.vocabSize })
    }
    ids = [...value] as number[]
  } else if (isChat(value)) {
    const tokens = yield* chat.prompting(value.messages, counted, { variables: value.variables, date })
    within(tokens?.length)
    ids = tokens!
  } else return fail('prompt', 'must be text or a list of token ids')
  if (ids.length > 0) return ids
  return tokenizer.beginOfText === undefined
    ? fail('prompt', 'is empty, and this model has no token that begins a text')
    : [tokenizer.beginOfText]
}

/** Undefined if there are more than `limit` ids. */
function* encodeText(text: string, tokenizer: TextTokenizer, limit: number): Steps<Int32Array | undefined> {
  const most = tokenizer.mostBytes(limit)
  return text.length > most || Buffer.byteLength(text) > most ? undefined : yield* tokenizer.encoding(text, limit)
}

/** Bytes beyond which `checkRequest` refuses a text or conversation unread; Infinity if there is no such limit. */
export const mostPromptBytes = ({ tokenizer, context }: Omit<RequestTarget, 'chat'>): number =>
  tokenizer.mostBytes(context - 1 + COUNTED_ON)

/** Allowance for a turn of the chat template, in UTF-16 units. */
const TURN = 256

/** How much work the prompt is, about, in UTF-16 units of text. */
export function sizeOf({ prompt }: GenerateRequest): number {
  if (typeof prompt === 'string') return prompt.length
  return isChat(prompt) && Array.isArray(prompt.messages)
    ? prompt.messages.reduce((n, m) => n + TURN + (m?.content?.length ?? 0), 0)
    : 0
}

/** `POST /v1/chat/completions`: the body, and the objects of the answer, as OpenAI's API has them. */
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { defined } from '../lib/defined.ts'
import type { ChatMessage } from '../runner/messages.ts'
import { extensionOf, finishReason, usageOf } from './answer-writer.ts'
import type { AnswerHead, AnswerWriter, EndEvent, StartEvent, TokenEvent } from './answer-writer.ts'
import { bodyReader, checkStreamOptions, commonFields, fieldError, samplingOf } from './request-body.ts'
import type { GenerationCall } from './generation.ts'

const DEFAULT_TOKENS = 1024

const closed = { additionalProperties: false } as const
const Nothing = Type.Optional(Type.Union([Type.Null(), Type.Array(Type.Never(), { maxItems: 0 })]))
/** Clients send an assistant's message back as they got it, empty fields included. */
const Message = Type.Object({
  role: Type.Union([Type.Literal('system'), Type.Literal('developer'), Type.Literal('user'), Type.Literal('assistant')]),
  content: Type.Union([Type.String(), Type.Array(Type.Object({ type: Type.Literal('text'), text: Type.String() }, closed), { maxItems: 256 })]),
  name: Type.Optional(Type.String({ maxLength: 64 })),
  refusal: Nothing, annotations: Nothing, audio: Nothing, tool_calls: Nothing, function_call: Nothing,
}, closed)

const read = bodyReader({
  ...commonFields,
  messages: Type.Array(Message, {
    minItems: 1, maxItems: 1024,
    description: 'a list of 1 to 1024 messages, each with a role (system, developer, user or assistant) and a content of text',
  }),
  max_completion_tokens: commonFields.max_tokens,
  logprobs: Type.Optional(Type.Boolean({ description: 'true or false' })),
  top_logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 20, description: 'a whole number from 0 to 20' })),
})

/** @throws VeritError VERIT_REQUEST */
export function readChat(value: unknown): GenerationCall {
  const body = read(value)
  checkStreamOptions(body)
  if (body.top_logprobs !== undefined && body.logprobs !== true) throw fieldError('top_logprobs', 'is only for "logprobs": true')
  if (body.max_tokens !== undefined && body.max_completion_tokens !== undefined && body.max_tokens !== body.max_completion_tokens) {
    throw fieldError('max_tokens', 'differs from max_completion_tokens: send one of them')
  }
  const logprobs = body.logprobs === true ? body.top_logprobs ?? 0 : undefined
  const sampling = { ...samplingOf(body), ...defined({ logprobs }) }
  return {
    prompt: { messages: body.messages.map(toMessage) }, sampling, askedTokens: body.max_completion_tokens ?? body.max_tokens, defaultTokens: DEFAULT_TOKENS, model: body.model, stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true, obfuscate: body.stream_options?.include_obfuscation !== false, writer: head => new ChatWriter(head, logprobs !== undefined),
  }
}

function toMessage({ role, content }: Static<typeof Message>): ChatMessage {
  return { role: role === 'developer' ? 'system' : role, content: typeof content === 'string' ? content : content.map(part => part.text).join('') }
}

class ChatWriter implements AnswerWriter {
  #id: string
  #rest: Omit<AnswerHead, 'id'>
  #logprobs: boolean

  constructor({ id, ...rest }: AnswerHead, logprobs: boolean) {
    this.#id = `chatcmpl-${id}`
    this.#rest = rest
    this.#logprobs = logprobs
  }

  opening(): object[] {
    return [this.#chunk([{ index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }])]
  }

  token(event: TokenEvent): object | undefined {
    if (event.text === '' && !this.#logprobs) return undefined
    return this.#chunk([{ index: 0, delta: { content: event.text }, logprobs: this.#logprobsOf([event]), finish_reason: null }])
  }

  closing(start: StartEvent, end: EndEvent, entry?: number): object {
    return { ...this.#chunk([{ index: 0, delta: {}, logprobs: null, finish_reason: finishReason(end) }]), ...extensionOf(start, end, entry) }
  }

  usage(start: StartEvent, end: EndEvent): object {
    return { ...this.#chunk([]), usage: usageOf(start, end) }
  }

  whole(start: StartEvent, tokens: readonly TokenEvent[], end: EndEvent, entry?: number): object {
    const message = { role: 'assistant', content: tokens.map(t => t.text).join(''), refusal: null }
    return {
      id: this.#id, object: 'chat.completion', ...this.#rest,
      choices: [{ index: 0, message, logprobs: this.#logprobsOf(tokens), finish_reason: finishReason(end) }],
      usage: usageOf(start, end), ...extensionOf(start, end, entry),
    }
  }

  #chunk(choices: object[]): object {
    return { id: this.#id, object: 'chat.completion.chunk', ...this.#rest, choices }
  }

  #logprobsOf(tokens: readonly TokenEvent[]): object | null {
    if (!this.#logprobs) return null
    // A token that is part of a character has no text of its own, and the bytes are not told.
    const bytesOf = (text: string): number[] | null => (text === '' || text.includes('\ufffd') ? null : [...Buffer.from(text, 'utf8')])
    const one = (text: string, logprob: number | undefined): object => ({ token: text, logprob: logprob ?? null, bytes: bytesOf(text) })
    return { content: tokens.map(t => ({ ...one(t.text, t.logprob), top_logprobs: (t.top ?? []).map(a => one(a.text, a.logprob)) })), refusal: null }
  }
}

/** `POST /v1/chat/completions`: the body, and the objects of the answer, as OpenAI's API has them. */
import { Type } from 'typebox'
import { defined } from '../lib/defined.ts'
import { extensionOf, finishReason, usageOf } from './answer-writer.ts'
import type { AnswerHead, AnswerWriter, EndEvent, StartEvent, TokenEvent } from './answer-writer.ts'
import { readMessages } from './chat-messages.ts'
import { fieldError, newReading } from './dialect.ts'
import type { GenerationCall } from './generation.ts'
import { JsonList, JsonPieces, jsonObject } from './json-pieces.ts'
import { bodyReader, callOf, commonFields, completionDialect, samplingOf } from './request-body.ts'
import { flag, only } from './surplus-fields.ts'

/** Default of `max_tokens`. */
export const CHAT_TOKENS = 1024

export const chatDialect = completionDialect(
  {
    // read apart, message by message
    messages: Type.Unknown({ description: 'a list of messages, each with a role and a content' }),
    max_completion_tokens: commonFields.max_tokens,
    logprobs: Type.Optional(flag),
    top_logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 20, description: 'a whole number from 0 to 20' }))
  },
  {
    prompt: { instead: 'Send messages, or the prompt to /v1/completions' },
    echo: { instead: 'Only /v1/completions can repeat a prompt', unless: only(false) }
  }
)
const read = bodyReader(chatDialect)

/** @throws VeritError VERIT_JSON, VERIT_REQUEST */
export function readChat(value: unknown, reading = newReading()): GenerationCall {
  const body = read(value, reading)
  const messages = readMessages(body.messages, 'messages', reading)
  if ((body.top_logprobs ?? 0) > 0 && body.logprobs !== true) {
    throw fieldError('top_logprobs', 'is only for log probabilities', 'Leave it out, or set logprobs to true')
  }
  if (
    body.max_tokens !== undefined &&
    body.max_completion_tokens !== undefined &&
    body.max_tokens !== body.max_completion_tokens
  ) {
    throw fieldError('max_tokens', 'differs from max_completion_tokens', 'Send one of them')
  }
  const logprobs = body.logprobs === true ? (body.top_logprobs ?? 0) : undefined
  return {
    ...callOf(body),
    prompt: { messages },
    sampling: { ...samplingOf(body), ...defined({ logprobs }) },
    askedTokens: body.max_completion_tokens ?? body.max_tokens,
    defaultTokens: CHAT_TOKENS,
    writer: head => new ChatWriter(head, logprobs !== undefined)
  }
}

class ChatWriter implements AnswerWriter {
  #id: string
  #rest: Omit<AnswerHead, 'id'>
  #logprobs: boolean
  /** Text of an answer that is not streamed. */
  #text = ''
  #kept = new JsonList()

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
    const logprobs = this.#logprobs ? { content: [logprobOf(event)], refusal: null } : null
    return this.#chunk([{ index: 0, delta: { content: event.text }, logprobs, finish_reason: null }])
  }

  closing(start: StartEvent, end: EndEvent, entry?: number): object {
    return {
      ...this.#chunk([{ index: 0, delta: {}, logprobs: null, finish_reason: finishReason(end) }]),
      ...extensionOf(start, end, entry)
    }
  }

  usage(start: StartEvent, end: EndEvent): object {
    return { ...this.#chunk([]), usage: usageOf(start, end) }
  }

  keep(event: TokenEvent): void {
    this.#text += event.text
    if (this.#logprobs) this.#kept.add(logprobOf(event))
  }

  whole(start: StartEvent, end: EndEvent, entry?: number): JsonPieces {
    const message = { role: 'assistant', content: this.#text, refusal: null }
    const logprobs = this.#logprobs ? jsonObject({ content: this.#kept, refusal: null }) : null
    const choice = jsonObject({ index: 0, message, logprobs, finish_reason: finishReason(end) })
    return jsonObject({
      id: this.#id,
      object: 'chat.completion',
      ...this.#rest,
      choices: new JsonPieces().add('[').add(choice).add(']'),
      usage: usageOf(start, end),
      ...extensionOf(start, end, entry)
    })
  }

  #chunk(choices: object[]): object {
    return { id: this.#id, object: 'chat.completion.chunk', ...this.#rest, choices }
  }
}

const logprobOf = ({ text, logprob, top = [] }: TokenEvent): object => ({
  ...oneLogprob(text, logprob),
  top_logprobs: top.map(a => oneLogprob(a.text, a.logprob))
})

/** A token that is part of a character has no text, and its bytes are not sent. */
function oneLogprob(text: string, logprob: number | undefined): object {
  const bytes = text === '' || text.includes('\ufffd') ? null : [...Buffer.from(text, 'utf8')]
  return { token: text, logprob: logprob ?? null, bytes }
}

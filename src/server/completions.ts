/** `POST /v1/completions`: the body, and the objects of the answer, as OpenAI's API has them. */
import { Type } from 'typebox'
import { defined } from '../lib/defined.ts'
import type { Prompt } from '../runner/messages.ts'
import { extensionOf, finishReason, usageOf } from './answer-writer.ts'
import type { AnswerHead, AnswerWriter, EndEvent, StartEvent, TokenEvent } from './answer-writer.ts'
import { fieldError, newReading } from './dialect.ts'
import type { GenerationCall } from './generation.ts'
import { JsonList, JsonPieces, jsonObject } from './json-pieces.ts'
import { bodyReader, callOf, completionDialect, samplingOf } from './request-body.ts'
import { flag } from './surplus-fields.ts'

/** Default of `max_tokens`. */
export const COMPLETION_TOKENS = 128

const Ids = Type.Array(Type.Integer({ minimum: 0, maximum: 0x7fffffff }))
export const completionsDialect = completionDialect(
  {
    prompt: Type.Union([Type.String(), Ids, Type.Array(Type.String()), Type.Array(Ids)], {
      description: 'a text, or a list of token ids'
    }),
    logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 20, description: 'a whole number from 0 to 20' })),
    echo: Type.Optional(flag)
  },
  {
    messages: { instead: 'Send a prompt, or the messages to /v1/chat/completions' }
  }
)
const read = bodyReader(completionsDialect)
type Body = ReturnType<typeof read>

/** @throws VeritError VERIT_JSON, VERIT_REQUEST */
export function readCompletion(value: unknown, reading = newReading()): GenerationCall {
  const body = read(value, reading)
  const { logprobs, echo } = body
  if (echo === true && logprobs !== undefined) {
    throw fieldError('echo', 'cannot be combined with logprobs', 'Leave out one of them; prompts are not scored yet')
  }
  return {
    ...callOf(body),
    prompt: promptOf(body.prompt),
    sampling: { ...samplingOf(body), ...defined({ logprobs, echo }) },
    askedTokens: body.max_tokens,
    defaultTokens: COMPLETION_TOKENS,
    writer: head => new CompletionWriter(head, logprobs)
  }
}

function promptOf(prompt: Body['prompt']): Prompt {
  if (typeof prompt === 'string') return { text: prompt }
  const first = prompt[0]
  if (first === undefined || typeof first === 'number') return { tokens: prompt as number[] }
  if (prompt.length > 1) throw fieldError('prompt', 'must be one prompt', 'Send one request for each prompt')
  return typeof first === 'string' ? { text: first } : { tokens: first }
}

interface Told {
  text: string
  logprob: number | null
  offset: number
  top: object | null
}

class CompletionWriter implements AnswerWriter {
  #head: object
  #logprobs: number | undefined
  #offset = 0
  /** Text of an answer that is not streamed. */
  #text = ''
  #kept = {
    tokens: new JsonList(),
    token_logprobs: new JsonList(),
    text_offset: new JsonList(),
    top_logprobs: new JsonList()
  }

  constructor({ id, ...rest }: AnswerHead, logprobs: number | undefined) {
    this.#head = { id: `cmpl-${id}`, object: 'text_completion', ...rest }
    this.#logprobs = logprobs
  }

  opening(): object[] {
    return []
  }

  token(event: TokenEvent): object | undefined {
    if (event.text === '' && this.#logprobs === undefined) return undefined
    const { text, logprob, offset, top } = this.#logprobOf(event)
    const alternatives = this.#logprobs === 0 ? null : [top]
    const logprobs =
      this.#logprobs === undefined
        ? null
        : { tokens: [text], token_logprobs: [logprob], text_offset: [offset], top_logprobs: alternatives }
    return { ...this.#head, choices: [{ index: 0, text, logprobs, finish_reason: null }] }
  }

  closing(start: StartEvent, end: EndEvent, entry?: number): object {
    return {
      ...this.#head,
      choices: [{ index: 0, text: '', logprobs: null, finish_reason: finishReason(end) }],
      ...extensionOf(start, end, entry)
    }
  }

  usage(start: StartEvent, end: EndEvent): object {
    return { ...this.#head, choices: [], usage: usageOf(start, end) }
  }

  keep(event: TokenEvent): void {
    this.#text += event.text
    if (this.#logprobs === undefined) return
    const { text, logprob, offset, top } = this.#logprobOf(event)
    this.#kept.tokens.add(text)
    this.#kept.token_logprobs.add(logprob)
    this.#kept.text_offset.add(offset)
    this.#kept.top_logprobs.add(top)
  }

  whole(start: StartEvent, end: EndEvent, entry?: number): JsonPieces {
    const { tokens, token_logprobs, text_offset, top_logprobs } = this.#kept
    const logprobs =
      this.#logprobs === undefined
        ? null
        : jsonObject({ tokens, token_logprobs, text_offset, top_logprobs: this.#logprobs === 0 ? null : top_logprobs })
    const choice = jsonObject({ index: 0, text: this.#text, logprobs, finish_reason: finishReason(end) })
    return jsonObject({
      ...this.#head,
      choices: new JsonPieces().add('[').add(choice).add(']'),
      usage: usageOf(start, end),
      ...extensionOf(start, end, entry)
    })
  }

  /** Log probabilities of a token; its offset counts UTF-16 units of the answer. */
  #logprobOf({ text, logprob, top }: TokenEvent): Told {
    const offset = this.#offset
    this.#offset += text.length
    const alternatives = top === undefined ? null : Object.fromEntries(top.map(a => [a.text, a.logprob]))
    return { text, logprob: logprob ?? null, offset, top: alternatives }
  }
}

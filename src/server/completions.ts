/** `POST /v1/completions`: the body, and the objects of the answer, as OpenAI's API has them. */
import { Type } from 'typebox'
import { defined } from '../lib/defined.ts'
import type { Prompt } from '../runner/messages.ts'
import { extensionOf, finishReason, usageOf } from './answer-writer.ts'
import type { AnswerHead, AnswerWriter, EndEvent, StartEvent, TokenEvent } from './answer-writer.ts'
import { bodyReader, checkStreamOptions, commonFields, fieldError, samplingOf } from './request-body.ts'
import type { GenerationCall } from './generation.ts'

const DEFAULT_TOKENS = 128

const Ids = Type.Array(Type.Integer({ minimum: 0, maximum: 0x7fffffff }))
const read = bodyReader({
  ...commonFields,
  prompt: Type.Union([Type.String(), Ids, Type.Array(Type.String()), Type.Array(Ids)], { description: 'a text, or a list of token ids' }),
  logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 20, description: 'a whole number from 0 to 20' })),
  echo: Type.Optional(Type.Boolean({ description: 'true or false' })),
})
type Body = ReturnType<typeof read>

/** @throws VeritError VERIT_REQUEST */
export function readCompletion(value: unknown): GenerationCall {
  const body = read(value)
  checkStreamOptions(body)
  if (body.echo === true && body.logprobs !== undefined) throw fieldError('echo', 'cannot be combined with logprobs: prompts are not scored yet')
  const { logprobs, echo } = body
  const sampling = { ...samplingOf(body), ...defined({ logprobs, echo }) }
  return {
    prompt: promptOf(body.prompt), sampling, askedTokens: body.max_tokens, defaultTokens: DEFAULT_TOKENS, model: body.model, stream: body.stream === true,
    includeUsage: body.stream_options?.include_usage === true, obfuscate: body.stream_options?.include_obfuscation !== false,
    writer: head => new CompletionWriter(head, body.logprobs),
  }
}

function promptOf(prompt: Body['prompt']): Prompt {
  if (typeof prompt === 'string') return { text: prompt }
  const first = prompt[0]
  if (first === undefined || typeof first === 'number') return { tokens: prompt as number[] }
  if (prompt.length > 1) throw fieldError('prompt', 'must be one prompt: send a request for each')
  return typeof first === 'string' ? { text: first } : { tokens: first }
}

class CompletionWriter implements AnswerWriter {
  #head: object
  #logprobs: number | undefined
  #offset = 0

  constructor({ id, ...rest }: AnswerHead, logprobs: number | undefined) {
    this.#head = { id: `cmpl-${id}`, object: 'text_completion', ...rest }
    this.#logprobs = logprobs
  }

  opening(): object[] {
    return []
  }

  token(event: TokenEvent): object | undefined {
    if (event.text === '' && this.#logprobs === undefined) return undefined
    return { ...this.#head, choices: [this.#choice([event], null)] }
  }

  closing(start: StartEvent, end: EndEvent, entry?: number): object {
    return { ...this.#head, choices: [{ index: 0, text: '', logprobs: null, finish_reason: finishReason(end) }], ...extensionOf(start, end, entry) }
  }

  usage(start: StartEvent, end: EndEvent): object {
    return { ...this.#head, choices: [], usage: usageOf(start, end) }
  }

  whole(start: StartEvent, tokens: readonly TokenEvent[], end: EndEvent, entry?: number): object {
    return { ...this.#head, choices: [this.#choice(tokens, finishReason(end))], usage: usageOf(start, end), ...extensionOf(start, end, entry) }
  }

  #choice(tokens: readonly TokenEvent[], finish: string | null): object {
    const logprobs = this.#logprobs === undefined ? null : this.#logprobsOf(tokens)
    return { index: 0, text: tokens.map(t => t.text).join(''), logprobs, finish_reason: finish }
  }

  #logprobsOf(tokens: readonly TokenEvent[]): object {
    const offsets = tokens.map(t => {
      const at = this.#offset
      this.#offset += t.text.length
      return at
    })
    const alternatives = (t: TokenEvent): object | null => (t.top === undefined ? null : Object.fromEntries(t.top.map(a => [a.text, a.logprob])))
    return {
      tokens: tokens.map(t => t.text), token_logprobs: tokens.map(t => t.logprob ?? null), text_offset: offsets,
      top_logprobs: this.#logprobs === 0 ? null : tokens.map(alternatives),
    }
  }
}

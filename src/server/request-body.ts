/**
 * Bodies in OpenAI's form. A field that Verit does not have is refused when it would change the answer, so that nobody gets something other than
 * what they asked for; fields that change nothing are accepted and ignored; null means absent.
 */
import { Type } from 'typebox'
import type { Static, TObject, TProperties } from 'typebox'
import { Compile } from 'typebox/compile'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import type { Sampling } from '../runner/messages.ts'

const described = (description: string) => ({ description })
const number = (minimum: number, maximum: number) =>
  Type.Optional(Type.Number({ minimum, maximum, ...described(`a number from ${minimum} to ${maximum}`) }))
const whole = (minimum: number, maximum: number) =>
  Type.Optional(Type.Integer({ minimum, maximum, ...described(`a whole number from ${minimum} to ${maximum}`) }))
const flag = () => Type.Optional(Type.Boolean(described('true or false')))
const StopText = Type.String({ minLength: 1, maxLength: 256 })

/** The fields that both kinds of completion share. */
export const commonFields = {
  model: Type.Optional(Type.String({ maxLength: 200, ...described('the name of a model, as GET /v1/models lists it') })),
  stream: flag(),
  stream_options: Type.Optional(Type.Object({ include_usage: flag(), include_obfuscation: flag() }, {
    additionalProperties: false, ...described('an object that may hold include_usage and include_obfuscation'),
  })),
  max_tokens: whole(0, 1 << 20),
  temperature: number(0, 2),
  top_p: number(0, 1),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  seed: whole(0, Number.MAX_SAFE_INTEGER),
  stop: Type.Optional(Type.Union([StopText, Type.Array(StopText, { maxItems: 8 })], {
    description: 'a text of 1 to 256 characters, or a list of at most 8',
  })),
  top_k: whole(0, 1 << 20),
  min_p: number(0, 1),
  repetition_penalty: number(0.1, 10),
  ignore_eos: flag(),
} as const
export type CommonBody = Static<TObject<typeof commonFields>>

/** Fields that change nothing here, whatever they hold. */
const IGNORED = new Set([
  'user', 'metadata', 'store', 'service_tier', 'safety_identifier', 'prompt_cache_key', 'prompt_cache_retention', 'parallel_tool_calls',
])

/** Fields that are refused unless they hold the value that asks for nothing; in words, what is missing. */
const UNSUPPORTED: Readonly<Record<string, { neutral: readonly unknown[]; why: string }>> = {
  n: { neutral: [1], why: 'one answer a request is given: send the request again with another seed' },
  best_of: { neutral: [1], why: 'one answer a request is given' },
  suffix: { neutral: [''], why: 'text is only continued, not filled in' },
  logit_bias: { neutral: [{}], why: 'tokens cannot be weighted yet' },
  response_format: { neutral: [{ type: 'text' }], why: 'answers are text, without a schema, so far' },
  tools: { neutral: [[]], why: 'tools are not offered yet' },
  tool_choice: { neutral: ['none', 'auto'], why: 'tools are not offered yet' },
  functions: { neutral: [[]], why: 'functions are not offered' },
  function_call: { neutral: ['none', 'auto'], why: 'functions are not offered' },
  modalities: { neutral: [['text']], why: 'answers are text' },
  audio: { neutral: [], why: 'answers are text' },
  prediction: { neutral: [], why: 'predicted output is not offered' },
  reasoning_effort: { neutral: ['none'], why: 'the models do not reason apart' },
  verbosity: { neutral: ['medium'], why: 'the models cannot be told' },
  web_search_options: { neutral: [], why: 'the server never reaches out to the network' },
}

/** Parts of a body up to which the wrong one is looked for: that takes far longer than finding that there is one. */
const MOST_PARTS = 4096

/**
 * A reader of bodies with these fields; `additionalProperties` is for it to refuse, in words.
 * @param openai whether fields that OpenAI's API has besides are known, to be ignored or refused with a reason
 */
export function bodyReader<P extends TProperties>(properties: P, openai = true): (value: unknown) => Static<TObject<P>> {
  const compiled = Compile(Type.Object(properties))
  const known = properties as Described
  const alone = Object.entries(properties).map(([name, type]) => ({ name, compiled: Compile(Type.Object({ [name]: type })) }))
  return value => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new VeritError('VERIT_JSON', { problem: 'it is not an object' })
    const body: Record<string, unknown> = {}
    for (const [name, v] of Object.entries(value)) {
      if (v === null || (openai && IGNORED.has(name))) continue
      if (Object.hasOwn(known, name)) body[name] = v
      else if (openai) checkUnsupported(name, v)
      else throw fieldError(JSON.stringify(name.slice(0, 40)), 'is not a field of this request')
    }
    if (compiled.Check(body)) return body as Static<TObject<P>>
    if (parts(body, MOST_PARTS) <= MOST_PARTS) throw firstProblem(compiled.Errors(body), known)
    const { name } = alone.find(field => !field.compiled.Check(body))!
    throw fieldError(name, `${body[name] === undefined ? 'is required:' : 'must be'} ${known[name]?.description ?? 'of another type'}`)
  }
}

/** How many values there are in a value; no more than a few above the limit are counted. */
function parts(value: unknown, limit: number): number {
  if (typeof value !== 'object' || value === null) return 1
  let n = 1
  for (const v of Object.values(value)) if ((n += parts(v, limit - n)) > limit) break
  return n
}

function checkUnsupported(name: string, value: unknown): void {
  const rule = Object.hasOwn(UNSUPPORTED, name) ? UNSUPPORTED[name] : undefined
  if (rule === undefined) throw fieldError(JSON.stringify(name.slice(0, 40)), 'is not a field of this request')
  if (!rule.neutral.some(v => JSON.stringify(v) === JSON.stringify(value))) throw fieldError(name, `is not supported: ${rule.why}`)
}

type Described = Readonly<Record<string, { description?: string }>>

/** `/messages/3/role` -> messages[3].role, and what the field should have been, from the description of its outermost field. */
function firstProblem(errors: readonly { instancePath: string; params: object }[], known: Described): VeritError {
  const first = errors[0]!
  const missing = (first.params as { requiredProperties?: string[] }).requiredProperties?.[0]
  if (first.instancePath === '' && missing !== undefined) return fieldError(missing, `is required: ${known[missing]?.description ?? 'a value'}`)
  const [top = '', ...rest] = first.instancePath.slice(1).split('/')
  const field = top + rest.map(part => (/^\d+$/.test(part) ? `[${part}]` : `.${part.slice(0, 40)}`)).join('')
  const description = known[top]?.description ?? 'of another type'
  return fieldError(rest.length === 0 ? field : top, `must be ${description}${rest.length === 0 ? '' : ` (see ${JSON.stringify(field)})`}`)
}

export const fieldError = (field: string, problem: string): VeritError => new VeritError('VERIT_REQUEST', { field, problem })

/** The common fields as the engine calls them. */
export function samplingOf(body: CommonBody): Sampling {
  return defined({
    temperature: body.temperature, topP: body.top_p, topK: body.top_k, minP: body.min_p, repetitionPenalty: body.repetition_penalty,
    presencePenalty: body.presence_penalty, frequencyPenalty: body.frequency_penalty, seed: body.seed, ignoreEndOfText: body.ignore_eos,
    stop: typeof body.stop === 'string' ? [body.stop] : body.stop,
  })
}

/** @throws VeritError VERIT_REQUEST */
export function checkStreamOptions(body: CommonBody): void {
  if (body.stream_options !== undefined && body.stream !== true) throw fieldError('stream_options', 'is only for "stream": true')
}

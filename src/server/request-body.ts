/**
 * Bodies in OpenAI's form. A field that Verit does not have is refused if it would change the answer. Fields that
 * change nothing are accepted and ignored.
 */
import { Type } from 'typebox'
import type { Static, TObject, TProperties } from 'typebox'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import type { Sampling } from '../runner/messages.ts'
import { fieldError, fieldReader } from './dialect.ts'
import type { Dialect, Reading, Refusal } from './dialect.ts'
import type { GenerationCall } from './generation.ts'
import { neutralFields, refusedFields } from './surplus-fields.ts'

const described = (description: string) => ({ description })
const number = (minimum: number, maximum: number) =>
  Type.Optional(Type.Number({ minimum, maximum, ...described(`a number from ${minimum} to ${maximum}`) }))
const whole = (minimum: number, maximum: number) =>
  Type.Optional(Type.Integer({ minimum, maximum, ...described(`a whole number from ${minimum} to ${maximum}`) }))
const flag = () => Type.Optional(Type.Boolean(described('true or false')))
const StopText = Type.String({ minLength: 1, maxLength: 256 })

/** The fields that both kinds of completion share. */
export const commonFields = {
  model: Type.Optional(
    Type.String({ maxLength: 200, ...described('the name of a model, as GET /v1/models lists it') })
  ),
  stream: flag(),
  stream_options: Type.Optional(
    Type.Object(
      { include_usage: flag(), include_obfuscation: flag() },
      {
        additionalProperties: false,
        ...described('an object that may hold include_usage and include_obfuscation')
      }
    )
  ),
  max_tokens: whole(0, 1 << 20),
  temperature: number(0, 2),
  top_p: number(0, 1),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  seed: whole(0, Number.MAX_SAFE_INTEGER),
  stop: Type.Optional(
    Type.Union([StopText, Type.Array(StopText, { maxItems: 8 })], {
      description: 'a text of 1 to 256 characters, or a list of at most 8'
    })
  ),
  top_k: whole(0, 1 << 20),
  min_p: number(0, 1),
  repetition_penalty: number(0.1, 10),
  ignore_eos: flag()
} as const
export type CommonBody = Static<TObject<typeof commonFields>>

/** The three classes of fields that both kinds of completion share, with those of one kind. */
export function completionDialect<P extends TProperties>(
  honoured: P,
  refused: Readonly<Record<string, Refusal>>
): Dialect<typeof commonFields & P> {
  return {
    honoured: { ...commonFields, ...honoured },
    neutral: neutralFields,
    refused: { ...refusedFields, ...refused }
  }
}

/** @throws VeritError (the reader) VERIT_JSON if it is not an object, VERIT_REQUEST for a field */
export function bodyReader<P extends TProperties>(
  dialect: Dialect<P>
): (value: unknown, reading: Reading) => Static<TObject<P>> {
  const read = fieldReader(dialect)
  return (value, reading) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new VeritError('VERIT_JSON', { problem: 'it is not an object' })
    }
    return read(value, '', reading)
  }
}

/** The common fields as the engine calls them. */
export function samplingOf(body: CommonBody): Sampling {
  return defined({
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k,
    minP: body.min_p,
    repetitionPenalty: body.repetition_penalty,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
    seed: body.seed,
    ignoreEndOfText: body.ignore_eos,
    stop: typeof body.stop === 'string' ? [body.stop] : body.stop
  })
}

/** Settings of a call from the common fields, besides its sampling. @throws VeritError VERIT_REQUEST */
export function callOf(body: CommonBody): Pick<GenerationCall, 'model' | 'stream' | 'includeUsage' | 'obfuscate'> {
  checkStreamOptions(body)
  const { include_usage: usage, include_obfuscation: obfuscation } = body.stream_options ?? {}
  const stream = body.stream === true
  return { model: body.model, stream, includeUsage: usage === true, obfuscate: obfuscation !== false }
}

function checkStreamOptions(body: CommonBody): void {
  if (body.stream_options === undefined || body.stream === true) return
  throw fieldError('stream_options', 'is only for streams', 'Leave it out, or set stream to true')
}

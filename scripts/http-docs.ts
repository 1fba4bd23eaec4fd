/**
 * Writes docs/reference/request-fields.md and the table of routes in docs/reference/http-api.md from the code:
 * `node scripts/http-docs.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { samplingParameters } from '../src/sampler/parameters.ts'
import { chatDialect, CHAT_TOKENS } from '../src/server/chat.ts'
import { messageFields, partFields } from '../src/server/chat-messages.ts'
import { COMPLETION_TOKENS, completionsDialect } from '../src/server/completions.ts'
import type { Dialect } from '../src/server/dialect.ts'
import { routeTable } from '../src/server/routes.ts'

const FIELDS = fileURLToPath(new URL('../docs/reference/request-fields.md', import.meta.url))
const ROUTES = fileURLToPath(new URL('../docs/reference/http-api.md', import.meta.url))
const BEGIN = '<!-- routes: node scripts/http-docs.ts -->\n'
const END = '<!-- end of routes -->'

/** The objects that have fields, with their name in the tables. */
const objects = {
  completions: completionsDialect,
  chat: chatDialect,
  message: messageFields,
  part: partFields
} as const satisfies Readonly<Record<string, Dialect>>

/** Effect and default of each field that has one. A field without a row here does not compile. */
const effects: Readonly<
  Record<
    keyof typeof completionsDialect.honoured | keyof typeof chatDialect.honoured,
    { readonly effect: string; readonly default?: number | string }
  >
> = {
  model: { effect: 'the model that answers', default: 'the only model' },
  prompt: { effect: 'the text to continue', default: 'required' },
  messages: {
    effect: 'the conversation: 1 to 1,024 objects, see [Messages](#messages)',
    default: 'required'
  },
  max_tokens: {
    effect: 'maximum number of generated tokens; the context may end the answer earlier',
    default: `${COMPLETION_TOKENS}; chat ${CHAT_TOKENS.toLocaleString('en')}`
  },
  max_completion_tokens: { effect: 'the same as `max_tokens`' },
  temperature: { effect: samplingParameters.temperature.help, default: samplingParameters.temperature.fallback },
  top_p: { effect: samplingParameters.topP.help, default: samplingParameters.topP.fallback },
  top_k: { effect: samplingParameters.topK.help, default: samplingParameters.topK.fallback },
  min_p: { effect: samplingParameters.minP.help, default: samplingParameters.minP.fallback },
  repetition_penalty: {
    effect: samplingParameters.repetitionPenalty.help,
    default: samplingParameters.repetitionPenalty.fallback
  },
  presence_penalty: {
    effect: samplingParameters.presencePenalty.help,
    default: samplingParameters.presencePenalty.fallback
  },
  frequency_penalty: {
    effect: samplingParameters.frequencyPenalty.help,
    default: samplingParameters.frequencyPenalty.fallback
  },
  seed: { effect: 'seed of sampling; the same seed repeats an answer', default: 'random, shown in the answer' },
  stop: { effect: 'texts that end the answer; they are not part of it', default: 'none' },
  stream: { effect: 'send the answer as server-sent events while it is generated', default: 'false' },
  stream_options: {
    effect:
      '`include_usage`: a last event with the token counts (default false); `include_obfuscation`: pad events to ' +
      'one size, so that an observer of the encrypted stream cannot see the lengths of tokens (default true)'
  },
  logprobs: {
    effect: 'log probabilities: of the chosen token (chat), or also of that many most probable ones (completions)',
    default: 'none'
  },
  top_logprobs: {
    effect: 'number of most probable tokens for each position; needs `logprobs`',
    default: 0
  },
  echo: { effect: 'begin the answer with the prompt; not with `logprobs`', default: 'false' },
  ignore_eos: { effect: 'continue after the end of text', default: 'false' }
}

interface Schema {
  readonly description?: string
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly type?: unknown
  readonly maxItems?: number
  readonly items?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: unknown
}

/** The values that a schema accepts, in words. */
function accepted(schema: Schema): string {
  if (schema.description !== undefined) return schema.description
  if ('const' in schema) return `\`${JSON.stringify(schema.const)}\``
  if (schema.anyOf !== undefined) return schema.anyOf.map(accepted).join(', ')
  if (schema.type === 'array') {
    return schema.maxItems === 0 ? '`[]`' : `a list of ${(schema.items as readonly Schema[]).map(accepted).join(', ')}`
  }
  const fields = Object.entries(schema.properties ?? {})
  if (fields.length === 0) return schema.additionalProperties === false ? '`{}`' : 'an object whose values are false'
  const shown = fields.map(([name, value]) => {
    const isOpen = !('const' in value) && value.anyOf === undefined
    return `\`${name}\`${isOpen ? '' : `: ${accepted(value)}`}`
  })
  return `an object with ${shown.join('; ')}`
}

/** The objects in which a field has the same row, for its first column but one. */
function rowsOf(row: (dialect: Dialect) => Iterable<readonly [name: string, cells: string]>): string {
  const where = new Map<string, string[]>()
  for (const [name, dialect] of Object.entries<Dialect>(objects)) {
    for (const [field, cells] of row(dialect)) {
      const key = `\`${field}\` | # | ${cells}`
      where.set(key, [...(where.get(key) ?? []), name])
    }
  }
  return [...where].map(([key, names]) => `| ${key.replace('#', names.join(', '))} |\n`).join('')
}

function parameterRows(dialect: Dialect): [string, string][] {
  if (dialect.at !== undefined) return []
  return Object.entries(dialect.honoured).map(([name, schema]) => {
    const { effect, default: value = '' } = effects[name as keyof typeof effects]
    return [name, `${accepted(schema as Schema)} | ${effect} | ${value}`]
  })
}

/** The text of docs/reference/request-fields.md. */
export function fieldsPage(): string {
  const neutral = rowsOf(({ neutral: fields = {} }) =>
    Object.entries(fields).map(([name, schema]) => [name, accepted(schema as Schema)] as const)
  )
  const refused = rowsOf(({ refused: fields = {} }) =>
    Object.entries(fields).map(([name, { instead, unless, unlessField }]) => {
      const values = unless === undefined ? 'none' : accepted(unless as Schema)
      const or = unlessField === undefined ? '' : `; any with \`${unlessField.name}\` \`"${String(unlessField.is)}"\``
      return [name, `${values}${or} | ${instead}`] as const
    })
  )
  return `# Request fields

For developers of clients. Every field in the bodies of \`POST /v1/completions\` and \`POST /v1/chat/completions\`, made
from the code by \`node scripts/http-docs.ts\`. [HTTP API](http-api.md#requests) describes how bodies are sent and read.

\`null\` means absent. A field that is not on this page is refused, unless \`http.unknown_fields\` is \`"ignore"\`.

## Parameters

| field | in | value | effect | default |
|---|---|---|---|---|
${rowsOf(parameterRows)}
## Messages

A message has a \`role\` (\`system\`, \`developer\`, \`user\`, \`assistant\`) and a \`content\`: a text, or at most 256 parts with
\`type\` \`"text"\` and a \`text\`. An answer without text may have the \`content\` null. The roles \`tool\` and \`function\`
are refused.

## Fields without effect

Verit accepts these fields, and names them in the log line of the request (\`ignored\`) and in the metric
\`verit_fields_ignored_total\`.

| field | in | value |
|---|---|---|
${neutral}
## Refused fields

These fields would change the answer. The values in the third column ask for nothing: with them, the field is accepted and
has no effect.

| field | in | accepted values | instead |
|---|---|---|---|
${refused}`
}

/** docs/reference/http-api.md with the table of routes as it is now. */
export function pageWithRoutes(page: string): string {
  const rows = routeTable.map(({ method, path, requires, purpose }) => {
    const route = path.replaceAll(/:(\w+)/g, (_, name: string) => name.toUpperCase())
    return `| \`${method} ${route}\` | ${requires === 'nothing' ? 'nothing' : `scope \`${requires}\``} | ${purpose} |\n`
  })
  const table = `| route | requires | answer |\n|---|---|---|\n${rows.join('')}`
  return `${page.slice(0, page.indexOf(BEGIN) + BEGIN.length)}\n${table}\n${page.slice(page.indexOf(END))}`
}

if (import.meta.main) {
  writeFileSync(FIELDS, fieldsPage())
  writeFileSync(ROUTES, pageWithRoutes(readFileSync(ROUTES, 'utf8')))
}

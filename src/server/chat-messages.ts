/** The messages of a chat: tables of their fields and of those of their parts, and their conversion for the model. */
import { Type } from 'typebox'
import { printable } from '../lib/printable.ts'
import type { ChatMessage } from '../runner/messages.ts'
import { fieldError, fieldReader } from './dialect.ts'
import type { Dialect, Reading } from './dialect.ts'
import { emptyList, fewSettings, only, shortText } from './surplus-fields.ts'

const MOST_MESSAGES = 1024
const MOST_PARTS = 256

const ROLES: Readonly<Record<string, ChatMessage['role']>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant'
}
/** Roles of tool calls, in the past and now. */
const TOOL_ROLES = new Set(['tool', 'function'])
const NO_TOOL_CALLS =
  'This server offers no tools yet; leave out tool_calls and the messages of role "tool", ' +
  'or send their content as text of the user'

const anything = Type.Unknown({ description: 'any value' })
const text = Type.String({ description: 'a text' })

/** Fields that clients store with a message and send back. */
const kept = {
  id: Type.Union([shortText, Type.Number()], { description: 'a number or a text of at most 512 characters' }),
  index: Type.Number({ description: 'a number' }),
  annotations: anything,
  citations: anything,
  cache_control: fewSettings,
  prompt_cache_breakpoint: fewSettings
} as const

export const messageFields: Dialect = {
  at: 'messages[]',
  // read apart
  honoured: { role: anything, content: Type.Unknown({ description: 'a text, or a list of parts of type "text"' }) },
  neutral: {
    ...kept,
    name: Type.String({ maxLength: 64, description: 'a text of at most 64 characters' }),
    // how an answer came about
    reasoning_content: text,
    reasoning: anything,
    reasoning_details: anything,
    thinking: anything,
    logprobs: anything,
    finish_reason: shortText,
    status: shortText,
    type: shortText,
    object: shortText,
    model: shortText,
    phase: shortText,
    created: anything,
    created_at: anything,
    createdAt: anything,
    timestamp: anything,
    metadata: anything,
    usage: anything,
    provider_specific_fields: anything,
    provider_metadata: anything,
    experimental_providerMetadata: anything
  },
  refused: {
    tool_calls: { instead: NO_TOOL_CALLS, unless: emptyList },
    function_call: { instead: NO_TOOL_CALLS },
    tool_call_id: { instead: NO_TOOL_CALLS, unless: only('') },
    refusal: { instead: 'Send it as the content of the message', unless: only('') },
    audio: { instead: 'The models here read text only; send it as text' },
    attachments: { instead: 'This server reads no files; put their text into the content', unless: emptyList },
    files: { instead: 'This server reads no files; put their text into the content', unless: emptyList },
    images: { instead: 'The models here read text only; leave images out', unless: emptyList },
    prefix: { instead: 'An answer always begins a new turn; leave the field out', unless: only(false) },
    partial: { instead: 'An answer always begins a new turn; leave the field out', unless: only(false) }
  }
}
export const partFields: Dialect = {
  at: 'messages[].content[]',
  honoured: { type: text, text },
  neutral: { ...kept, metadata: anything }
}

const readMessageFields = fieldReader(messageFields)
const readPartFields = fieldReader(partFields)

/**
 * @param path for errors: "messages"
 * @throws VeritError VERIT_REQUEST that names the first message, and the field in it, that cannot be given to the model
 */
export function readMessages(value: unknown, path: string, reading: Reading): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MOST_MESSAGES) {
    throw fieldError(path, `must be a list of 1 to ${MOST_MESSAGES} messages, each with a role and a content`)
  }
  return value.map((message, i) => readMessage(message, `${path}[${i}]`, reading))
}

function readMessage(value: unknown, path: string, reading: Reading): ChatMessage {
  if (!isObject(value)) throw fieldError(path, 'must be an object with a role and a content')
  const { role: given } = value
  if (typeof given === 'string' && TOOL_ROLES.has(given)) {
    throw fieldError(`${path}.role`, `is "${given}", which is not supported`, NO_TOOL_CALLS)
  }
  const role = typeof given === 'string' && Object.hasOwn(ROLES, given) ? ROLES[given] : undefined
  if (role === undefined) throw fieldError(`${path}.role`, 'must be "system", "developer", "user" or "assistant"')
  const { content } = readMessageFields(withText(value, role), path, reading)
  return { role, content: readContent(content, `${path}.content`, reading) }
}

/**
 * Clients send an answer without text back with `content: null`. The model gets an empty text instead; tool calls are
 * refused.
 */
const withText = (value: Readonly<Record<string, unknown>>, role: ChatMessage['role']): object =>
  role === 'assistant' && value['content'] === null ? { ...value, content: '' } : value

function readContent(content: unknown, path: string, reading: Reading): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content) || content.length > MOST_PARTS) {
    throw fieldError(path, `must be a text, or a list of at most ${MOST_PARTS} parts of type "text"`)
  }
  return content.map((part, i) => readPart(part, `${path}[${i}]`, reading)).join('')
}

function readPart(value: unknown, path: string, reading: Reading): string {
  if (!isObject(value)) throw fieldError(path, 'must be an object with a type "text" and a text')
  const { type } = value
  if (typeof type === 'string' && type !== 'text') {
    const problem = `is "${printable(type, 40)}", which is not supported`
    throw fieldError(`${path}.type`, problem, 'Send parts of type "text" only')
  }
  if (type !== 'text') throw fieldError(`${path}.type`, 'must be "text"')
  return readPartFields(value, path, reading)['text'] as string
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

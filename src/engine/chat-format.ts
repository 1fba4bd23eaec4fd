/**
 * A conversation as tokens, by the Jinja template of the model's file. Two things from outside meet here, the template and the messages: the template
 * runs in bounded time and size, and text of a message never becomes a special token, whatever it spells.
 */
import { VeritError } from '../lib/errors.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { ChatTemplate } from './chat-template.ts'

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

const ROLES: readonly unknown[] = ['system', 'user', 'assistant']
const MAX_MESSAGES = 1024
/** Of all messages together, in UTF-16 units. */
const MAX_TEXT = 1 << 20

/** For models whose file has no template: plain turns, as a model that only continues text can follow them. */
const PLAIN = `{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content | trim }}{{ '\\n\\n' }}
{%- elif m.role == 'user' %}User: {{ m.content | trim }}{{ '\\n' }}
{%- else %}Assistant: {{ m.content | trim }}{{ '\\n' }}
{%- endif %}{% endfor %}Assistant:`

const fail = (problem: string): never => {
  throw new VeritError('VERIT_CHAT', { problem })
}

export class ChatFormat {
  /** Strings that end an answer. */
  readonly stop: readonly string[]
  #tokenizer: TextTokenizer
  #template: ChatTemplate
  /** The special tokens as alternatives of a regular expression, longer ones first. */
  #specials: string
  #begin: string
  #end: string

  /** @param template Jinja source; default: plain turns */
  constructor(template: string | undefined, tokenizer: TextTokenizer) {
    this.#tokenizer = tokenizer
    this.#template = new ChatTemplate(template ?? PLAIN)
    this.stop = template === undefined ? ['\nUser:', '\nAssistant:'] : []
    const names = [...tokenizer.specials.keys()].sort((a, b) => b.length - a.length)
    this.#specials = names.map(n => RegExp.escape(n)).join('|')
    const name = (id: number | undefined): string => (id === undefined ? '' : tokenizer.decode([id]))
    this.#begin = name(tokenizer.beginOfText)
    this.#end = name(tokenizer.endOfText)
  }

  /** @throws VeritError VERIT_CHAT */
  prompt(messages: readonly ChatMessage[]): number[] {
    const checked = checkMessages(messages)
    const mark = freeMark([this.#template.source, this.#begin, this.#end, ...checked.map(m => m.content)])
    const rendered = this.#template.render({
      messages: checked.map(({ role, content }) => ({ role, content: marked(content, mark) })),
      bos_token: this.#begin, eos_token: this.#end, add_generation_prompt: true,
    })
    const ids: number[] = []
    // A split by a group gives texts and special tokens by turns. What has a mark behind it ends in a message.
    const parts = this.#specials === '' ? [rendered] : rendered.split(new RegExp(`(${this.#specials})(?!${mark})`))
    for (const [i, part] of parts.entries()) {
      if (i % 2 === 1) ids.push(this.#tokenizer.tokenId(part)!)
      else for (const id of this.#tokenizer.encode(part.replaceAll(mark, ''))) ids.push(id)
    }
    return ids
  }
}

function checkMessages(messages: unknown): ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MAX_MESSAGES) return fail(`it must be a list of 1 to ${MAX_MESSAGES} messages`)
  let length = 0
  return messages.map((m: unknown, i) => {
    const { role, content } = (typeof m === 'object' && m !== null ? m : {}) as { role?: unknown; content?: unknown }
    if (!ROLES.includes(role)) return fail(`the role of message ${i + 1} must be system, user or assistant`)
    if (typeof content !== 'string') return fail(`the content of message ${i + 1} must be a string`)
    length += content.length
    if (length > MAX_TEXT) return fail(`its messages have more than ${MAX_TEXT} characters`)
    return { role: role as ChatMessage['role'], content: content.toWellFormed() }
  })
}

/** A character for private use that none of the texts has. */
function freeMark(texts: readonly string[]): string {
  for (let c = 0xe000; c < 0xf900; c++) {
    const mark = String.fromCharCode(c)
    if (!texts.some(t => t.includes(mark))) return mark
  }
  return fail('its messages use every character that Unicode keeps for private use')
}

/**
 * The text with a mark after each character that is not white space. A template may move, trim and join it; a special token that ends in a message,
 * wherever it begins, has a mark inside or behind it.
 */
const marked = (text: string, mark: string): string => text.replace(/\S/gu, c => c + mark)

/**
 * A conversation as tokens, by the Jinja template of the model's file. Two things from outside meet here, the template
 * and the messages: the template runs in bounded time and size, and text of a message never becomes a special token,
 * whatever it spells.
 */
import { VeritError } from '../lib/errors.ts'
import { finish } from '../lib/steps.ts'
import type { Steps } from '../lib/steps.ts'
import { PrefixMatcher } from '../tokenizer/prefix-matcher.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { ChatTemplate } from './chat-template.ts'
import { freeMark, marked, unmarked } from './marks.ts'
import type { TemplateDate } from './template-date.ts'
import { checkVariables, markVariables } from './template-variables.ts'
import type { TemplateVariables } from './template-variables.ts'

/** One message of a conversation. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/** Inputs of a template besides the messages. */
export interface ChatOptions {
  /**
   * `tools`, `enable_thinking` and the like: up to 64 values that JSON has. No text in them becomes a special token.
   */
  readonly variables?: TemplateVariables | undefined
  /** The date of `strftime_now`; afterwards tells whether the template asked for it. Default: today in UTC. */
  readonly date?: TemplateDate | undefined
}

const ROLES: readonly unknown[] = ['system', 'user', 'assistant']
const MAX_MESSAGES = 1024
/** Maximum text of all messages together, in UTF-16 units. */
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
  #specials: PrefixMatcher
  #begin: string
  #end: string

  /** @param template Jinja source; default: plain turns */
  constructor(template: string | undefined, tokenizer: TextTokenizer) {
    this.#tokenizer = tokenizer
    this.#template = new ChatTemplate(template ?? PLAIN)
    this.stop = template === undefined ? ['\nUser:', '\nAssistant:'] : []
    this.#specials = new PrefixMatcher(tokenizer.specials)
    const name = (id: number | undefined): string => (id === undefined ? '' : tokenizer.decode([id]))
    this.#begin = name(tokenizer.beginOfText)
    this.#end = name(tokenizer.endOfText)
  }

  /** The tokens of a conversation. @throws VeritError VERIT_CHAT */
  prompt(messages: readonly ChatMessage[], options: ChatOptions = {}): number[] {
    return finish(this.prompting(messages, Infinity, options))!
  }

  /**
   * `prompt` in steps, for a thread that serves others meanwhile. The template is one long step.
   * @param limit tokens. Undefined if there are more, or if the messages have more bytes than `limit` tokens can
   *   represent. Default: no limit
   */
  *prompting(
    messages: readonly ChatMessage[],
    limit = Infinity,
    { variables = {}, date }: ChatOptions = {}
  ): Steps<number[] | undefined> {
    const texts: string[] = []
    if (checkVariables(variables, text => texts.push(text)) > MAX_TEXT)
      return fail(`its template variables have more than ${MAX_TEXT} characters`)
    const checked = checkMessages(messages)
    const most = this.#tokenizer.mostBytes(limit)
    if (
      checked.reduce((n, m) => n + m.content.length, 0) > most ||
      checked.reduce((n, m) => n + Buffer.byteLength(m.content), 0) > most
    )
      return undefined
    const mark = yield* freeMark([
      this.#template.source,
      this.#begin,
      this.#end,
      ...checked.map(m => m.content),
      ...texts
    ])
    const turns: ChatMessage[] = []
    for (const { role, content } of checked) {
      turns.push({ role, content: yield* marked(content, mark) })
      yield
    }
    const given = markVariables(variables, mark, [...this.#tokenizer.specials.keys()])
    const rendered = this.#template.render(
      { ...given, messages: turns, bos_token: this.#begin, eos_token: this.#end, add_generation_prompt: true },
      date
    )
    yield
    return yield* this.#read(rendered, mark, limit)
  }

  /** Text before a mark comes from a message, so it is not a special token. */
  *#read(rendered: string, mark: number, limit: number): Steps<number[] | undefined> {
    const ids: number[] = []
    for (let from = 0; ;) {
      const special = yield* this.#specials.find(rendered, from, mark)
      const text = yield* unmarked(rendered.slice(from, special?.index), mark)
      const part = yield* this.#tokenizer.encoding(text, limit - ids.length)
      if (part === undefined) return undefined
      for (const id of part) ids.push(id)
      if (special === undefined) return this.#begun(ids, limit)
      ids.push(special.id)
      from = special.index + this.#tokenizer.token(special.id).length
      yield
    }
  }

  /** With the begin token in front where the model wants one and the template has not written it: exactly one. */
  #begun(ids: number[], limit: number): number[] | undefined {
    const { addsBegin, beginOfText: begin } = this.#tokenizer
    const all = addsBegin && begin !== undefined && ids[0] !== begin ? [begin, ...ids] : ids
    return all.length > limit ? undefined : all
  }
}

function checkMessages(messages: unknown): ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0 || messages.length > MAX_MESSAGES)
    return fail(`it must be a list of 1 to ${MAX_MESSAGES} messages`)
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

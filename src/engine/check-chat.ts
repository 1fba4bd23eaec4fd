/**
 * Tries a chat template on a short conversation in the bounded renderer, and reports mismatches with the model: a
 * prompt that ends with an end token, names that look like special tokens, an omitted message, a failing template. Only
 * warns: a model runs as its file says.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { Conversation, ConversationOverrides } from '../model/conversation.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { ChatFormat } from './chat-format.ts'
import { ChatTemplate } from './chat-template.ts'

const SAMPLE = [{ role: 'user', content: 'Hello' }] as const
/**
 * Names that models use for special tokens. Brackets such as [INST] are plain text in many vocabularies, on purpose.
 */
const LOOKS_SPECIAL = /<[|\uff5c][^\s<>|\uff5c]{1,64}[|\uff5c]>|<\/?s>|<(?:start|end|begin)_of_\w{1,32}>/g
const MOST_NAMES = 8

/** Problems, one sentence each; none for a model without a template. */
export function chatWarnings(conversation: Conversation, format: ChatFormat, tokenizer: TextTokenizer): string[] {
  const { template, begin, ends } = conversation
  if (template === undefined) return []
  const source = `the chat template (${printable(template.source, 100)})`
  let ids: readonly number[]
  try {
    ids = format.prompt(SAMPLE)
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return [`${source} fails on a short conversation: ${printable(e.what, 300)}`]
  }
  const warnings: string[] = []
  const last = ends.find(t => t.id === ids.at(-1))
  if (last !== undefined) {
    warnings.push(
      `${source} ends the prompt with ${printable(last.text, 60)}, which ends a text: ` +
        'models are not trained on such prompts, and --chat-template replaces the template'
    )
  }
  if (begin !== undefined && ids[0] === begin.id && ids[1] === begin.id)
    warnings.push(`${source} begins the prompt with ${printable(begin.text, 60)} twice`)
  const plain = plainText(ids, tokenizer)
  const names = [...new Set(plain.match(LOOKS_SPECIAL))]
  if (names.length > 0) {
    const listed = names
      .slice(0, MOST_NAMES)
      .map(name => printable(name, 60))
      .join(', ')
    warnings.push(
      `${source} writes ${listed}${names.length > MOST_NAMES ? ' and more' : ''}, ` +
        `which ${names.length === 1 ? 'is' : 'are'} not in the vocabulary and would be plain text`
    )
  }
  if (!plain.includes(SAMPLE[0].content)) warnings.push(`${source} leaves the text of a message out of the prompt`)
  return warnings
}

/** A chat template that was given by hand, and the file or option that gave it. */
export type GivenTemplate = NonNullable<ConversationOverrides['chatTemplate']>

/**
 * Refuses a template that cannot be compiled: before any other work, because no model is needed.
 * @throws VeritError VERIT_CHAT, naming its source
 */
export function compileTemplate({ text, source }: GivenTemplate): void {
  new ChatTemplate(text).compile(source)
}

/**
 * Refuses a template that cannot write a short conversation for this model.
 * @throws VeritError VERIT_CHAT, naming its source
 */
export function checkTemplate({ text, source }: GivenTemplate, { begin, ends }: Conversation): void {
  const end = ends[0]?.text ?? ''
  try {
    void new ChatTemplate(text).render({
      messages: SAMPLE,
      bos_token: begin?.text ?? '',
      eos_token: end,
      add_generation_prompt: true
    })
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_CHAT')) throw e
    const problem = `fails on a short conversation: ${e.fields.problem}`
    throw new VeritError('VERIT_CHAT', { template: printable(source), problem }, e)
  }
}

/** The text between special tokens. */
function plainText(ids: readonly number[], tokenizer: TextTokenizer): string {
  return tokenizer.decode(ids, { skipSpecial: true })
}

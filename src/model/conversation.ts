/**
 * Conversation settings of a model: the chat template, the token that begins a text, and the tokens that end a text or
 * a turn. Each source (GGUF keys, files of a Hugging Face folder) makes claims; `resolveConversation` merges them, with
 * the source of every part and a warning for contradictions and gaps. It does not render the template:
 * engine/check-chat.ts does.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { endTextsAmong } from './end-tokens.ts'

/** A statement of one source about a token, by id or by text. */
export interface TokenClaim {
  readonly token: number | string
  /** File and field, or key, such as `generation_config.json eos_token_id`. */
  readonly source: string
}

/** Roles of end tokens: end of text, of a turn, of a message; 'other': an end without a name. */
export type EndRole = 'eos' | 'eot' | 'eom' | 'other'

/** All statements, the decisive source first in each list. */
export interface ConversationClaims {
  /** `default` is the template of plain conversations; others are for tools, documents and the like. */
  readonly templates: readonly { readonly name: string; readonly text: string; readonly source: string }[]
  readonly begin: readonly TokenClaim[]
  readonly ends: readonly (TokenClaim & { readonly role: EndRole })[]
  readonly addsBegin: readonly { readonly value: boolean; readonly source: string }[]
  /** Whether other programs put an end token behind a prompt. */
  readonly addsEnd: readonly { readonly value: boolean; readonly source: string }[]
}

/** A token with the source that named it. */
export interface SourcedToken {
  readonly id: number
  readonly text: string
  readonly source: string
}

export interface EndToken extends SourcedToken {
  readonly role: EndRole
}

export interface Conversation {
  /** Jinja source of plain conversations. Without one Verit writes plain turns. */
  readonly template: { readonly text: string; readonly source: string } | undefined
  /** Templates for other purposes, which Verit keeps and does not use. */
  readonly otherTemplates: readonly { readonly name: string; readonly text: string; readonly source: string }[]
  /** The token that begins a text, where a source names one. */
  readonly begin: SourcedToken | undefined
  /** Whether a prompt begins with that token. */
  readonly addsBegin: { readonly value: boolean; readonly source: string }
  readonly addsEnd: boolean
  /** Every token that ends an answer, each id once. */
  readonly ends: readonly EndToken[]
  /** Messages about contradictory, missing or unused settings. Text from files in them is escaped. */
  readonly warnings: readonly string[]
}

/** User settings that replace or extend the files' settings. */
export interface ConversationOverrides {
  /** Replaces the template of plain conversations. */
  readonly chatTemplate?: { readonly text: string; readonly source: string } | undefined
  /** Additional tokens that end an answer: the text of a token, or its id. */
  readonly endTokens?: { readonly tokens: readonly (string | number)[]; readonly source: string } | undefined
}

/** The source of an end token that no file declares: its text is one that ends texts everywhere. */
export const BY_NAME = 'its name'

export const noClaims: ConversationClaims = { templates: [], begin: [], ends: [], addsBegin: [], addsEnd: [] }

/** The claims of two sources, those of the first before those of the second. */
export function joinClaims(first: ConversationClaims, second: ConversationClaims): ConversationClaims {
  return {
    templates: [...first.templates, ...second.templates],
    begin: [...first.begin, ...second.begin],
    ends: [...first.ends, ...second.ends],
    addsBegin: [...first.addsBegin, ...second.addsBegin],
    addsEnd: [...first.addsEnd, ...second.addsEnd]
  }
}

/** A token of a vocabulary as messages show it. */
const shown = (text: string): string => printable(text, 60)

/**
 * @param tokenizer the vocabulary that the claims are about
 * @throws VeritError VERIT_USAGE for an override that names no token of the vocabulary
 */
export function resolveConversation(
  claims: ConversationClaims,
  tokenizer: TextTokenizer,
  overrides: ConversationOverrides = {}
): Conversation {
  const warnings: string[] = []
  const begin = beginOf(claims, tokenizer, warnings)
  const ends = endsOf(claims, tokenizer, overrides, warnings)
  const addsBegin = flagOf(claims.addsBegin, 'begins with the begin token', warnings)
  if (addsBegin.value && begin === undefined)
    warnings.push(`${addsBegin.source} asks for a begin token before each text, and no source names one`)
  const addsEnd = claims.addsEnd[0]?.value === true
  if (addsEnd)
    warnings.push(
      `${claims.addsEnd[0]!.source} asks for an end token behind each prompt: ` +
        'Verit adds none, because an answer would begin after the end'
    )
  const template = templateOf(claims, overrides, warnings)
  const otherTemplates = claims.templates.filter(
    (t, i, all) => t.name !== 'default' && all.findIndex(u => u.name === t.name) === i
  )
  if (template === undefined && otherTemplates.length > 0) {
    warnings.push(
      'no chat template is called default; conversations are written as plain turns ' +
        `(templates: ${otherTemplates.map(t => shown(t.name)).join(', ')})`
    )
  }
  if (template !== undefined && ends.length === 0)
    warnings.push('no token is known to end a turn: answers end at the limit of tokens or at a stop string')
  return {
    template,
    otherTemplates,
    begin,
    addsBegin: { ...addsBegin, value: addsBegin.value && begin !== undefined },
    addsEnd,
    ends,
    warnings
  }
}

function templateOf(
  { templates }: ConversationClaims,
  { chatTemplate }: ConversationOverrides,
  warnings: string[]
): Conversation['template'] {
  if (chatTemplate !== undefined) return chatTemplate
  const [first, ...others] = templates.filter(t => t.name === 'default')
  if (first === undefined) return undefined
  const other = others.find(t => t.text !== first.text)
  if (other !== undefined)
    warnings.push(`${first.source} and ${other.source} differ: the chat template of ${first.source} is used`)
  return { text: first.text, source: first.source }
}

function flagOf(
  claims: ConversationClaims['addsBegin'],
  what: string,
  warnings: string[]
): { value: boolean; source: string } {
  const [first] = claims
  const other = claims.find(c => c.value !== first!.value)
  if (first !== undefined && other !== undefined) {
    warnings.push(
      `${first.source} and ${other.source} disagree on whether a text ${what}: ` +
        `${first.source} decides (${String(first.value)})`
    )
  }
  return first ?? { value: false, source: 'no source' }
}

function beginOf(
  { begin }: ConversationClaims,
  tokenizer: TextTokenizer,
  warnings: string[]
): SourcedToken | undefined {
  const found = begin.flatMap(claim => sourced(claim, 'begin', tokenizer, warnings) ?? [])
  const [first] = found
  const other = found.find(t => t.id !== first!.id)
  if (first !== undefined && other !== undefined) {
    warnings.push(
      `${first.source} names ${shown(first.text)} as the begin token, ${other.source} ${shown(other.text)}: ` +
        `${first.source} decides`
    )
  }
  return first
}

function endsOf(
  { ends }: ConversationClaims,
  tokenizer: TextTokenizer,
  { endTokens }: ConversationOverrides,
  warnings: string[]
): EndToken[] {
  const found = new Map<number, EndToken>()
  const put = (token: EndToken): void => {
    if (!found.has(token.id)) found.set(token.id, token)
  }
  for (const claim of ends) {
    const token = sourced(claim, 'end', tokenizer, warnings)
    if (token !== undefined) put({ ...token, role: claim.role })
  }
  for (const token of endTokens?.tokens ?? []) {
    const id = endTokenId(token, tokenizer, endTokens!.source)
    put({ id, text: tokenizer.token(id), source: endTokens!.source, role: 'other' })
  }
  const special = (text: string): number | undefined => {
    const id = tokenizer.tokenId(text)
    return id !== undefined && tokenizer.isSpecial(id) ? id : undefined
  }
  for (const text of endTextsAmong(name => special(name) !== undefined))
    put({ id: special(text)!, text, source: BY_NAME, role: 'other' })
  return [...found.values()]
}

function sourced(
  { token, source }: TokenClaim,
  what: string,
  tokenizer: TextTokenizer,
  warnings: string[]
): SourcedToken | undefined {
  const id = typeof token === 'number' ? token : tokenizer.tokenId(token)
  if (id !== undefined && id >= 0 && id < tokenizer.vocabSize) return { id, text: tokenizer.token(id), source }
  warnings.push(
    `${source} names ${typeof token === 'number' ? token : `"${shown(token)}"`} as ${what} token, ` +
      'which is not in the vocabulary'
  )
  return undefined
}

/**
 * The id of an end token that a user names: a number or digits are an id, anything else the text of one token.
 * @throws VeritError VERIT_USAGE
 */
function endTokenId(token: string | number, tokenizer: TextTokenizer, source: string): number {
  const digits = typeof token === 'string' && /^\d{1,10}$/.test(token)
  if (typeof token === 'number' || digits) {
    const id = Number(token)
    if (Number.isInteger(id) && id >= 0 && id < tokenizer.vocabSize) return id
  } else {
    const id = tokenizer.tokenId(token)
    if (id !== undefined && tokenizer.isSpecial(id)) return id
    const ids = encoded(token, tokenizer)
    if (ids.length === 1) return ids[0]!
    if (id !== undefined) return id // its spelling in the vocabulary, which no text may encode to
  }
  throw new VeritError('VERIT_USAGE', {
    problem: `${source} is ${printable(JSON.stringify(token), 80)}, which is not a token of this model`,
    hint:
      `Give the text of one token or an id from 0 to ${tokenizer.vocabSize - 1}; ` +
      '`verit inspect` shows the tokens that end an answer'
  })
}

/** A character vocabulary refuses characters that it lacks. */
function encoded(text: string, tokenizer: TextTokenizer): ArrayLike<number> {
  try {
    return tokenizer.encode(text, { allowSpecial: true })
  } catch (e) {
    if (VeritError.is(e, 'VERIT_TOKENIZER_CHARACTER')) return []
    throw e
  }
}

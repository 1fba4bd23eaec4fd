/** Conversation metadata of GGUF: claims from a file's keys, and keys for the resolved settings. */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { BY_NAME } from './conversation.ts'
import type { Conversation, ConversationClaims, EndToken } from './conversation.ts'
import { MESSAGE_END, turnEnds } from './end-tokens.ts'

const TEMPLATE = 'tokenizer.chat_template'
/** Names of additional templates, as gguf-py writes them beside `tokenizer.chat_template.NAME`. */
const TEMPLATES = 'tokenizer.chat_templates'
const ADD_BEGIN = 'tokenizer.ggml.add_bos_token'
const ADD_END = 'tokenizer.ggml.add_eos_token'
/** End tokens that have none of GGUF's three roles. */
export const OTHER_ENDS = 'verit.end_token_ids'
const MOST_OTHER_ENDS = 64

type Entry = readonly [string, GgufValue]

const idKey = (role: string): string => `tokenizer.ggml.${role}_token_id`

/**
 * @param tokenizer of the file: it has checked the ids and knows the defaults of missing keys
 * @throws VeritError VERIT_GGUF for a key of another type
 */
export function ggufClaims(m: GgufMetadata, tokenizer: TextTokenizer): ConversationClaims {
  const named = [...m.entries.keys()].filter(key => key.startsWith(`${TEMPLATE}.`))
  const texts = (key: string, name: string): ConversationClaims['templates'] =>
    m.has(key) ? [{ name, text: m.string(key), source: key }] : []
  const ids = (role: 'bos' | 'eos' | 'eot' | 'eom'): number[] => (m.has(idKey(role)) ? [m.uint(idKey(role))] : [])
  const others = m.ints(OTHER_ENDS, [])
  if (others.length > MOST_OTHER_ENDS) m.refuse(OTHER_ENDS, `has ${others.length} ids, more than ${MOST_OTHER_ENDS}`)
  for (const id of others)
    if (id < 0 || id >= tokenizer.vocabSize)
      m.refuse(OTHER_ENDS, `holds ${id}, which is not one of the ${tokenizer.vocabSize} tokens`)
  const byDefault = !m.has(idKey('eos')) && tokenizer.endOfText !== undefined
  return {
    templates: [...texts(TEMPLATE, 'default'), ...named.flatMap(key => texts(key, key.slice(TEMPLATE.length + 1)))],
    begin: ids('bos').map(token => ({ token, source: idKey('bos') })),
    ends: [
      ...(['eos', 'eot', 'eom'] as const).flatMap(role =>
        ids(role).map(token => ({ token, source: idKey(role), role }))
      ),
      ...['fim_pad', 'fim_rep', 'fim_sep'].flatMap(role =>
        m.has(idKey(role)) ? [{ token: m.uint(idKey(role)), source: idKey(role), role: 'other' as const }] : []
      ),
      ...(byDefault ? [{ token: tokenizer.endOfText!, source: BY_NAME, role: 'eos' as const }] : []),
      ...others.map(token => ({ token, source: OTHER_ENDS, role: 'other' as const }))
    ],
    addsBegin: [
      m.has(ADD_BEGIN)
        ? { value: m.bool(ADD_BEGIN), source: ADD_BEGIN }
        : { value: tokenizer.addsBegin, source: `the kind of tokenizer (no ${ADD_BEGIN})` }
    ],
    addsEnd: m.has(ADD_END) ? [{ value: m.bool(ADD_END), source: ADD_END }] : []
  }
}

/** The entries for resolved conversation settings, for every program that reads GGUF's keys. */
export function conversationEntries({
  template,
  otherTemplates,
  begin,
  addsBegin,
  addsEnd,
  ends
}: Conversation): Entry[] {
  const { eos, eot, eom, others } = rolesOf(ends)
  const id = (role: string, token: { id: number } | undefined): Entry[] =>
    token === undefined ? [] : [[idKey(role), gguf.u32(token.id)]]
  return [
    ...id('bos', begin),
    ...id('eos', eos),
    ...id('eot', eot),
    ...id('eom', eom),
    [ADD_BEGIN, gguf.bool(addsBegin.value)],
    ...(addsEnd ? [[ADD_END, gguf.bool(true)] as const] : []),
    ...(others.length > 0
      ? [[OTHER_ENDS, { type: 'array', of: 'u32', value: Uint32Array.from(others, t => t.id) }] as const]
      : []),
    ...(template === undefined ? [] : [[TEMPLATE, gguf.string(template.text)] as const]),
    ...(otherTemplates.length > 0 ? [[TEMPLATES, gguf.strings(otherTemplates.map(t => t.name))] as const] : []),
    ...otherTemplates.map((t): Entry => [`${TEMPLATE}.${t.name}`, gguf.string(t.text)])
  ]
}

/**
 * End tokens by the keys that GGUF has for them. `others` are declared and have no key of GGUF; tokens known by name
 * alone need none.
 */
export function rolesOf(ends: readonly EndToken[]): {
  eos?: EndToken | undefined
  eot?: EndToken | undefined
  eom?: EndToken | undefined
  others: readonly EndToken[]
} {
  // Without an eos id llama.cpp takes token 11 for the end of a gpt2-kind vocabulary, so any known end is better than
  // none.
  const eos =
    ends.find(t => t.role === 'eos') ?? ends.find(t => t.source === BY_NAME && !turnEnds.includes(t.text)) ?? ends[0]
  const eom = ends.find(t => t.role === 'eom') ?? ends.find(t => t.text === MESSAGE_END && t !== eos)
  const left = ends.filter(t => t !== eos && t !== eom)
  const byName = turnEnds.flatMap(text => left.find(t => t.text === text) ?? [])[0]
  const eot = left.find(t => t.role === 'eot') ?? byName ?? left.find(t => t.source !== BY_NAME)
  return { eos, eot, eom, others: left.filter(t => t !== eot && t.source !== BY_NAME) }
}

/** Whether a key is one of those that `conversationEntries` writes. */
export const isConversationKey = (key: string): boolean =>
  /^tokenizer\.(ggml\.((bos|eos|eot|eom)_token_id|add_(bos|eos)_token)$|chat_template)/.test(key) || key === OTHER_ENDS

/** Replaces existing entries in place, and appends the others. */
export function replaceEntries(entries: readonly Entry[], written: readonly Entry[]): [string, GgufValue][] {
  const news = new Map(written)
  const had = new Set(entries.map(([key]) => key))
  return [
    ...entries.map(([key, value]): [string, GgufValue] => [key, news.get(key) ?? value]),
    ...written.filter(([key]) => !had.has(key)).map(([key, value]): [string, GgufValue] => [key, value])
  ]
}

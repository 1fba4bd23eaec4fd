/**
 * `tokenizer.json`, the form of Hugging Face's tokenizers. Written canonically: a function of the parts alone,
 * vocabulary in order of id, so that its SHA-256 names the tokenizer. Read strictly: what Verit does not do exactly is
 * refused, not approximated.
 */
import { VeritError } from '../lib/errors.ts'
import { walkJson } from '../lib/json-walk.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import { CONTROL, MAX_TOKENS, NORMAL, UNUSED, USER_DEFINED } from './parts.ts'
import type { TokenizerParts } from './parts.ts'
import {
  BYTE_LEVEL,
  DIGIT_RUNS,
  DIGITS,
  pretokenizer,
  pretokenizerOfPatterns,
  PUNCTUATION_RUNS
} from './pretokenizer.ts'
import type { Pretokenizer, PretokenizerName } from './pretokenizer.ts'

/**
 * Writes parts as canonical JSON text, which ends with a line feed. Unused tokens at the end of the vocabulary pad an
 * embedding and are left out: the tokenizer is the same without them. The format has no name for other unused tokens;
 * they become special ones, which no plain text encodes to.
 */
export function partsToJson(parts: TokenizerParts & { pretokenizer: PretokenizerName }): string {
  const { tokenTypes, merges } = parts
  const named = new Set<string>()
  // If tokens are spelled alike, the first is in use; the format has no second one.
  const tokens = parts.tokens
    .slice(0, 1 + tokenTypes.findLastIndex(type => type !== UNUSED))
    .map((token, id) => (named.size < named.add(token).size ? token : `[DUPLICATE_${id}]`))
  const added = tokens.flatMap((content, id) =>
    tokenTypes[id] === NORMAL
      ? []
      : [
          {
            id,
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: tokenTypes[id] !== USER_DEFINED
          }
        ]
  )
  const splits = pretokenizer(parts.pretokenizer)!.patterns.map(Regex => ({
    type: 'Split',
    pattern: { Regex },
    behavior: 'Isolated',
    invert: false
  }))
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false }
  // Written by hand, because an object would put tokens that look like numbers first.
  const lines = (rows: string[], close: string): string =>
    rows.length === 0 ? close : `\n${rows.join(',\n')}\n${close}`
  const vocabulary = tokens.map((t, id) => `${JSON.stringify(t)}: ${id}`)
  return `{
"version": "1.0",
"truncation": null,
"padding": null,
"added_tokens": [${lines(
    added.map(a => JSON.stringify(a)),
    ']'
  )},
"normalizer": null,
"pre_tokenizer": ${JSON.stringify({ type: 'Sequence', pretokenizers: [...splits, byteLevel] })},
"post_processor": null,
"decoder": ${JSON.stringify({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false })},
"model": {
"type": "BPE",
"dropout": null,
"unk_token": null,
"continuing_subword_prefix": null,
"end_of_word_suffix": null,
"fuse_unk": false,
"byte_fallback": false,
"ignore_merges": ${pretokenizer(parts.pretokenizer)!.ignoreMerges},
"vocab": {${lines(vocabulary, '}')},
"merges": [${lines(
    merges.map(m => JSON.stringify(m)),
    ']'
  )}
}
}
`
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type JsonObject = { [key: string]: Json }

/** The rule of a `pre_tokenizer`, or undefined for an unknown one. */
function readPretokenizer(value: Json | undefined, ignoreMerges: boolean): Pretokenizer | undefined {
  const steps = isObject(value) && value['type'] === 'Sequence' ? value['pretokenizers'] : [value]
  if (!Array.isArray(steps) || steps.length > MOST_STEPS) return undefined
  const patterns = steps.map((step, i) => (isObject(step) ? patternOf(step, i === steps.length - 1) : undefined))
  // Falcon's has ByteLevel with its expression between others.
  const spelled = steps.some(step => isObject(step) && step['type'] === 'ByteLevel')
  if (!spelled || patterns.includes(undefined)) return undefined
  return pretokenizerOfPatterns(patterns.filter(pattern => pattern !== '') as string[], ignoreMerges)
}

const MOST_STEPS = 8

/** The expression by which a step splits; '' for one that only spells bytes. */
function patternOf(step: JsonObject, last: boolean): string | undefined {
  const { type, behavior } = step
  if (type === 'ByteLevel') {
    if (step['add_prefix_space'] === true) return undefined
    if ((step['use_regex'] ?? true) === true) return BYTE_LEVEL
    return last ? '' : undefined
  }
  if (type === 'Digits') return step['individual_digits'] === true ? DIGITS : DIGIT_RUNS
  if (type === 'Punctuation') return behavior === 'Contiguous' ? PUNCTUATION_RUNS : undefined
  if (type !== 'Split' || behavior !== 'Isolated' || step['invert'] === true) return undefined
  const pattern = isObject(step['pattern']) ? step['pattern']['Regex'] : undefined
  return typeof pattern === 'string' && pattern !== '' ? pattern : undefined
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** UTF-16 units. Real files have up to 35 M, with a vocabulary of 256 k tokens. */
export const MAX_JSON = 1 << 26
/** Six are needed. */
const DEPTH = 16
/** All tokens, all merges as pairs of texts, all added tokens with their settings, and more. */
const VALUES = 1 << 23

/** `refuse` ends the reading; `flag` may come back. */
interface Faults {
  refuse(problem: string): never
  flag(problem: string): void
}

/**
 * The content of a tokenizer.json, within limits and without names that appear twice.
 * @throws VeritError VERIT_TOKENIZER_FILE
 */
export function parseTokenizerJson(text: string, source: string, found?: ProblemList): JsonObject {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem })
  }
  if (text.length > MAX_JSON) refuse(`it has ${text.length} characters, more than the limit of ${MAX_JSON}`)
  walk(text, refuse, found)
  if (found?.none === false) return {}
  const root: unknown = JSON.parse(text)
  return isObject(root) ? root : refuse('it is not a JSON object')
}

/**
 * Reads tokenizer.json into parts, which `checkParts` must then check.
 * @param source name of the file in errors
 * @param found collects problems, as far as the rest can still be judged; default: the first one is thrown. The result
 *   is usable if there are none.
 * @throws VeritError VERIT_TOKENIZER_FILE
 */
export function partsFromJson(text: string, source: string, found?: ProblemList): TokenizerParts {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem })
  }
  const faults: Faults = { refuse, flag: problem => (found === undefined ? refuse(problem) : found.add(problem)) }
  const root = parseTokenizerJson(text, source, found)
  // other programs could read something else
  if (found?.none === false) return { tokens: [], tokenTypes: [], merges: [], pretokenizer: '' }
  const model = root['model']
  if (!isObject(model) || model['type'] !== 'BPE' || !isObject(model['vocab']) || !Array.isArray(model['merges'])) {
    return refuse('its model is not a BPE with a vocabulary and merges')
  }
  const pretokenizer = readSettings(root, model, faults)
  const around = readPostProcessor(root['post_processor'] ?? null, faults)
  const { tokens, types } = readTokens(model['vocab'], root['added_tokens'] ?? [], faults)
  const merges = model['merges'].map((m, rank) => {
    if (typeof m === 'string') return m
    if (Array.isArray(m) && m.length === 2 && typeof m[0] === 'string' && typeof m[1] === 'string')
      return `${m[0]} ${m[1]}`
    faults.flag(`merge ${rank} is neither "a b" nor ["a", "b"]`)
    return ''
  })
  return {
    tokens,
    tokenTypes: tokens.map((_, id) => types.get(id) ?? NORMAL),
    merges,
    pretokenizer,
    ...(around.begin !== undefined && { beginOfText: around.begin, addsBegin: true }),
    ...(around.end !== undefined && { endOfText: around.end, addsEnd: true })
  }
}

function walk(text: string, refuse: Faults['refuse'], found: ProblemList | undefined): void {
  let last = 0
  let byte = 0
  walkJson(text, { depth: DEPTH, names: MAX_TOKENS, allNames: 2 * MAX_TOKENS, values: VALUES }, (problem, index) => {
    byte += Buffer.byteLength(text.slice(last, index)) // faults are told in their order
    last = index
    if (found === undefined) refuse(`at byte ${byte}, ${problem}`)
    else found.add(problem, byte)
  })
}

/**
 * Ids of the tokens that a `post_processor` puts before and behind a text. `encode` adds neither; a prompt gets the
 * first (`addsBegin`). ByteLevel adds none; TemplateProcessing may add one at each end; a Sequence may hold both. Its
 * rule for pairs of texts is not used.
 */
function readPostProcessor(value: Json, { flag }: Faults): { begin?: number; end?: number } {
  const list = isObject(value) && value['type'] === 'Sequence' ? value['processors'] : undefined
  const steps = Array.isArray(list) ? list : [value]
  const around: { begin?: number; end?: number } = {}
  for (const step of steps) {
    if (step === null || (isObject(step) && step['type'] === 'ByteLevel')) continue
    if (!isObject(step) || step['type'] !== 'TemplateProcessing') {
      const type = isObject(step) ? JSON.stringify(step['type'] ?? null).slice(0, 40) : 'no object'
      flag(`its post_processor is ${type}, where ByteLevel, TemplateProcessing and a Sequence of them are supported`)
      return {}
    }
    const single = step['single']
    const ids = Array.isArray(single) ? single.map(piece => templateId(piece, step['special_tokens'])) : []
    const text = ids.indexOf(TEXT)
    const before = ids.slice(0, text)
    const behind = ids.slice(text + 1)
    if (text < 0 || before.length > 1 || behind.length > 1 || ids.includes(undefined) || behind.includes(TEXT)) {
      flag('its post_processor adds other tokens than one before and one behind a text')
      return {}
    }
    if (before[0] !== undefined) around.begin = before[0]
    if (behind[0] !== undefined) around.end = behind[0]
  }
  return around
}

/** Stands for the text itself among the ids of a template. */
const TEXT = -1

/** The only id of a piece of a template, `TEXT`, or undefined for anything else. */
function templateId(piece: Json, specials: Json | undefined): number | undefined {
  if (!isObject(piece)) return undefined
  if (isObject(piece['Sequence'])) return piece['Sequence']['id'] === 'A' ? TEXT : undefined
  const name = isObject(piece['SpecialToken']) ? piece['SpecialToken']['id'] : undefined
  const entry =
    typeof name === 'string' && isObject(specials) && Object.hasOwn(specials, name) ? specials[name] : undefined
  const ids = isObject(entry) ? entry['ids'] : undefined
  const id = Array.isArray(ids) && ids.length === 1 ? ids[0] : undefined
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 ? id : undefined
}

/** Processing before the merges: the name of the pre-tokenizer. */
function readSettings(root: JsonObject, model: JsonObject, { flag }: Faults): string {
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix', 'byte_fallback', 'dropout']) {
    if (model[key]) flag(`its model uses ${key}, which byte-level BPE does not have`)
  }
  for (const key of ['truncation', 'padding']) if (root[key]) flag(`it has ${key}, which Verit leaves to the caller`)
  if (root['normalizer']) flag('it normalizes text, so that decoding would not give back what was encoded')
  const ignoreMerges = model['ignore_merges'] === true
  const rule = readPretokenizer(root['pre_tokenizer'], ignoreMerges)
  if (rule === undefined) flag('its pre-tokenizer is not one that Verit knows')
  else if (ignoreMerges !== rule.ignoreMerges)
    flag(`its ignore_merges does not go with its pre-tokenizer (${rule.name})`)
  return rule?.name ?? ''
}

/** Tokens by id, and the types of those that are not normal. */
function readTokens(
  vocabulary: JsonObject,
  added: Json,
  { refuse, flag }: Faults
): { tokens: string[]; types: ReadonlyMap<number, number> } {
  const tokens: string[] = []
  const put = (token: string, id: Json | undefined): void => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= MAX_TOKENS) {
      return flag(`the id of token ${JSON.stringify(token).slice(0, 80)} is not a whole number below ${MAX_TOKENS}`)
    }
    const other = tokens[id]
    if (other !== undefined && other !== token)
      flag(`tokens ${JSON.stringify(other)} and ${JSON.stringify(token)} share the id ${id}`)
    tokens[id] = token
  }
  for (const token of Object.keys(vocabulary)) put(token, vocabulary[token])
  const types = new Map<number, number>()
  if (!Array.isArray(added)) return refuse('its added_tokens are not a list')
  for (const entry of added) {
    if (!isObject(entry) || typeof entry['content'] !== 'string') {
      flag('an added token has no content')
      continue
    }
    for (const key of ['single_word', 'lstrip', 'rstrip'])
      if (entry[key]) flag(`an added token uses ${key}, which Verit does not do`)
    const { content, id } = entry
    const other = Object.hasOwn(vocabulary, content as string) ? vocabulary[content as string] : id
    if (other !== id) flag(`tokens ${String(other)} and ${String(id)} are both ${JSON.stringify(content).slice(0, 80)}`)
    put(content as string, id)
    types.set(entry['id'] as number, entry['special'] === true ? CONTROL : USER_DEFINED)
  }
  const gap = tokens.findIndex(token => token === undefined)
  if (gap >= 0) flag(`its ids have a gap: no token has the id ${gap}`)
  return { tokens, types }
}

/**
 * `tokenizer.json`, the form of Hugging Face's tokenizers. Written canonically: a function of the parts alone, vocabulary in order of
 * id, so that its SHA-256 names the tokenizer. Read strictly: what Verit does not do exactly is refused, not approximated.
 */
import { VeritError } from '../lib/errors.ts'
import { byteOf, walkJson } from '../lib/json-walk.ts'
import { CONTROL, MAX_TOKENS, NORMAL, USER_DEFINED } from './parts.ts'
import type { TokenizerParts } from './parts.ts'
import { pretokenizer, pretokenizerOfPattern } from './pretokenizer.ts'
import type { PretokenizerName } from './pretokenizer.ts'

/** Writes parts as canonical JSON text, which ends with a line feed. */
export function partsToJson(parts: TokenizerParts & { pretokenizer: PretokenizerName }): string {
  const { tokens, tokenTypes, merges } = parts
  const added = tokens.flatMap((content, id) => tokenTypes[id] === NORMAL ? [] : [{
    id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: tokenTypes[id] === CONTROL,
  }])
  const split = { type: 'Split', pattern: { Regex: pretokenizer(parts.pretokenizer)!.pattern }, behavior: 'Isolated', invert: false }
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false }
  // By hand, since an object would put tokens that look like numbers first.
  const lines = (rows: string[], close: string): string => rows.length === 0 ? close : `\n${rows.join(',\n')}\n${close}`
  const vocabulary = tokens.map((t, id) => `${JSON.stringify(t)}: ${id}`)
  return `{
"version": "1.0",
"truncation": null,
"padding": null,
"added_tokens": [${lines(added.map(a => JSON.stringify(a)), ']')},
"normalizer": null,
"pre_tokenizer": ${JSON.stringify({ type: 'Sequence', pretokenizers: [split, byteLevel] })},
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
"merges": [${lines(merges.map(m => JSON.stringify(m)), ']')}
}
}
`
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
type JsonObject = { [key: string]: Json }

/** Name of the rule that a `pre_tokenizer` stands for, or undefined when it is none of ours. */
function readPretokenizer(value: Json | undefined): string | undefined {
  const steps = isObject(value) && value['type'] === 'Sequence' ? value['pretokenizers'] : [value]
  if (!Array.isArray(steps)) return undefined
  const byteLevel = steps.at(-1)
  if (!isObject(byteLevel) || byteLevel['type'] !== 'ByteLevel' || byteLevel['add_prefix_space'] === true) return undefined
  const ownRegex = (byteLevel['use_regex'] ?? true) === true
  const first = steps[0]
  if (steps.length === 1) return ownRegex ? 'gpt-2' : undefined
  if (steps.length !== 2 || !isObject(first)) return undefined
  if (first['type'] === 'Digits') return ownRegex && first['individual_digits'] === true ? 'smollm' : undefined
  if (first['type'] !== 'Split' || ownRegex || first['behavior'] !== 'Isolated' || first['invert'] === true) return undefined
  const pattern = isObject(first['pattern']) ? first['pattern']['Regex'] : undefined
  return typeof pattern === 'string' ? pretokenizerOfPattern(pattern)?.name : undefined
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** UTF-16 units. Real files have up to 35 M, with a vocabulary of 256 k tokens. */
export const MAX_JSON = 1 << 26
/** Six are needed. */
const DEPTH = 16

/**
 * Reads tokenizer.json into parts, which `checkParts` must then check.
 * @param source name of the file in errors.
 */
export function partsFromJson(text: string, source: string): TokenizerParts {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem })
  }
  if (text.length > MAX_JSON) refuse(`it has ${text.length} characters, more than the limit of ${MAX_JSON}`)
  walkJson(text, { depth: DEPTH }, (problem, index) => refuse(`at byte ${byteOf(text, index)}, ${problem}`))
  const root: unknown = JSON.parse(text)
  if (!isObject(root)) return refuse('it is not a JSON object')
  const model = root['model']
  if (!isObject(model) || model['type'] !== 'BPE' || !isObject(model['vocab']) || !Array.isArray(model['merges'])) {
    return refuse('its model is not a BPE with a vocabulary and merges')
  }
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix', 'byte_fallback', 'dropout']) {
    if (model[key]) refuse(`its model uses ${key}, which byte-level BPE does not have`)
  }
  for (const key of ['truncation', 'padding']) if (root[key]) refuse(`it has ${key}, which Verit leaves to the caller`)
  if (root['normalizer']) refuse('it normalizes text, so that decoding would not give back what was encoded')
  const post = root['post_processor']
  if (post && !(isObject(post) && post['type'] === 'ByteLevel')) refuse('its post_processor adds tokens, which Verit leaves to the caller')
  const name = readPretokenizer(root['pre_tokenizer']) ?? refuse('its pre-tokenizer is not one that Verit knows')
  if ((model['ignore_merges'] ?? false) !== pretokenizer(name)!.ignoreMerges) refuse(`its ignore_merges does not go with its pre-tokenizer (${name})`)

  const tokens: string[] = []
  const put = (token: string, id: Json | undefined): void => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= MAX_TOKENS) {
      refuse(`the id of token ${JSON.stringify(token).slice(0, 80)} is not a whole number below ${MAX_TOKENS}`)
    }
    const other = tokens[id as number]
    if (other !== undefined && other !== token) refuse(`tokens ${JSON.stringify(other)} and ${JSON.stringify(token)} share the id ${id}`)
    tokens[id as number] = token
  }
  for (const token of Object.keys(model['vocab'])) put(token, model['vocab'][token])
  const types = new Map<number, number>()
  const added = root['added_tokens'] ?? []
  if (!Array.isArray(added)) return refuse('its added_tokens are not a list')
  for (const entry of added) {
    if (!isObject(entry) || typeof entry['content'] !== 'string') return refuse('an added token has no content')
    for (const key of ['single_word', 'lstrip', 'rstrip']) if (entry[key]) refuse(`an added token uses ${key}, which Verit does not do`)
    put(entry['content'], entry['id'])
    types.set(entry['id'] as number, entry['special'] === true ? CONTROL : USER_DEFINED)
  }
  for (let id = 0; id < tokens.length; id++) if (tokens[id] === undefined) refuse(`its ids have a gap: no token has the id ${id}`)

  const merges = model['merges'].map((m, rank) => {
    if (typeof m === 'string') return m
    if (Array.isArray(m) && m.length === 2 && typeof m[0] === 'string' && typeof m[1] === 'string') return `${m[0]} ${m[1]}`
    return refuse(`merge ${rank} is neither "a b" nor ["a", "b"]`)
  })
  return { tokens, tokenTypes: tokens.map((_, id) => types.get(id) ?? NORMAL), merges, pretokenizer: name }
}

/**
 * Conversation settings in the files of a Hugging Face folder, in transformers' order of precedence:
 * chat_template.jinja, tokenizer_config.json, special_tokens_map.json, generation_config.json, config.json, the
 * post-processor of tokenizer.json. Every file is optional, bounded and checked; an unknown form is refused, not
 * skipped.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { otherKind } from '../lib/other-kind.ts'
import { VeritError } from '../lib/errors.ts'
import { byteOf, walkJson } from '../lib/json-walk.ts'
import { openRegular } from '../lib/regular-file.ts'
import { readTemplate } from '../lib/template-file.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { ConversationClaims, EndRole, TokenClaim } from './conversation.ts'

/** Largest JSON file that is read, in bytes. tokenizer_config.json of the largest vocabularies has 1.2 MB. */
const MAX_JSON_BYTES = 1 << 24
const RULES = { depth: 16, names: 1 << 16, allNames: 1 << 20, values: 1 << 21 }

type Json = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const utf8 = new TextDecoder('utf-8', { fatal: true })

const refuse = (file: string, problem: string): never => {
  throw new VeritError('VERIT_MODEL_FILE', { file, problem })
}

/**
 * @param config content of config.json
 * @param tokenizer the folder's own, whose post-processor applies; undefined if another one is used
 */
export function folderClaims(
  folder: string,
  config: unknown,
  tokenizer: TextTokenizer | undefined
): ConversationClaims {
  const names = readdirSync(folder)
  const tokens = readJson(folder, names, 'tokenizer_config.json')
  const map = readJson(folder, names, 'special_tokens_map.json')
  const generation = readJson(folder, names, 'generation_config.json')
  const model = isObject(config) ? config : undefined
  const files = [
    ['tokenizer_config.json', tokens],
    ['special_tokens_map.json', map]
  ] as const
  const numbers = [
    ['generation_config.json', generation],
    ['config.json', model]
  ] as const
  const post = 'tokenizer.json post_processor'
  return {
    templates: templatesOf(folder, names, tokens),
    begin: [
      ...files.flatMap(([file, json]) => texts(file, json, 'bos_token')),
      ...numbers.flatMap(([file, json]) => ids(file, json, 'bos_token_id')),
      ...(tokenizer?.addsBegin === true ? [{ token: tokenizer.beginOfText!, source: post }] : [])
    ],
    ends: [
      ...[
        ...files.flatMap(([file, json]) => texts(file, json, 'eos_token')),
        ...numbers.flatMap(([file, json]) => ids(file, json, 'eos_token_id'))
      ].map((claim): TokenClaim & { role: EndRole } => ({ ...claim, role: 'eos' })),
      // transformers has no `eot_token` and `eom_token`; some publishers write them.
      ...(['eot', 'eom'] as const).flatMap(role =>
        files.flatMap(([file, json]) => texts(file, json, `${role}_token`)).map(claim => ({ ...claim, role }))
      )
    ],
    addsBegin: [
      ...flags('tokenizer_config.json', tokens, 'add_bos_token'),
      ...(tokenizer === undefined ? [] : [{ value: tokenizer.addsBegin, source: post }])
    ],
    addsEnd: flags('tokenizer_config.json', tokens, 'add_eos_token')
  }
}

/** Files of templates first: transformers prefers them to tokenizer_config.json. */
function templatesOf(
  folder: string,
  names: readonly string[],
  tokens: Json | undefined
): ConversationClaims['templates'] {
  const found: { name: string; text: string; source: string }[] = []
  const file = (name: string, path: string): void => {
    using open = openRegular(join(folder, path), 'the chat template')
    found.push({ name, text: readTemplate(open), source: path })
  }
  if (names.includes('chat_template.jinja')) file('default', 'chat_template.jinja')
  const more = 'additional_chat_templates'
  if (names.includes(more))
    for (const path of readdirSync(join(folder, more))
      .filter(p => p.endsWith('.jinja'))
      .sort())
      file(path.slice(0, -'.jinja'.length), join(more, path))
  for (const [source, json] of [
    ['chat_template.json', readJson(folder, names, 'chat_template.json')],
    ['tokenizer_config.json', tokens]
  ] as const) {
    for (const { name, text } of inJson(source, json?.['chat_template'] ?? null))
      found.push({ name, text, source: `${source} chat_template` })
  }
  return found
}

/** A template as one text, or as a list of named ones. */
function inJson(source: string, value: unknown): { name: string; text: string }[] {
  if (value === null) return []
  if (typeof value === 'string') return [{ name: 'default', text: value }]
  if (!Array.isArray(value)) return refuse(source, 'chat_template is neither a text nor a list of named templates')
  return value.map((entry: unknown) => {
    const { name, template } = isObject(entry) ? entry : {}
    if (typeof name !== 'string' || !/^\w[\w.-]{0,63}$/.test(name) || typeof template !== 'string')
      return refuse(source, 'a template of chat_template has no name or no text')
    return { name, text: template }
  })
}

/** A token by its text: a string, or an object with `content`. */
function texts(file: string, json: Json | undefined, key: string): TokenClaim[] {
  const value = json?.[key] ?? null
  if (value === null) return []
  const text = isObject(value) ? value['content'] : value
  return typeof text === 'string'
    ? [{ token: text, source: `${file} ${key}` }]
    : refuse(file, `${key} is neither a text nor an object with the text as content`)
}

/** Tokens by id: a number, or a list of numbers. */
function ids(file: string, json: Json | undefined, key: string): TokenClaim[] {
  const value = json?.[key] ?? null
  if (value === null) return []
  return [value].flat().map((id: unknown) => {
    if (typeof id !== 'number' || !Number.isInteger(id))
      return refuse(file, `${key} is neither a whole number nor a list of them`)
    return { token: id, source: `${file} ${key}` }
  })
}

function flags(file: string, json: Json | undefined, key: string): { value: boolean; source: string }[] {
  const value = json?.[key] ?? null
  if (value === null) return []
  return typeof value === 'boolean'
    ? [{ value, source: `${file} ${key}` }]
    : refuse(file, `${key} is neither true nor false`)
}

/** Larger and less strict than a request's, because some of these files contain vocabularies. */
function readJson(folder: string, names: readonly string[], name: string): Json | undefined {
  if (!names.includes(name)) return undefined
  const path = join(folder, name)
  using file = openRegular(path, 'a file of the model')
  const other = otherKind(file, 'json')
  if (other !== undefined) throw new VeritError('VERIT_MODEL_FILE', { file: path, ...other })
  if (file.size > MAX_JSON_BYTES) refuse(path, `it is larger than ${MAX_JSON_BYTES} bytes`)
  let text: string
  try {
    text = utf8.decode(file.readAll())
  } catch (e) {
    if (VeritError.is(e)) throw e
    return refuse(path, 'it is not UTF-8')
  }
  walkJson(text, RULES, (problem, index) => refuse(path, `at byte ${byteOf(text, index)}, ${problem}`))
  const json: unknown = JSON.parse(text)
  return isObject(json) ? json : refuse(path, 'its content is not an object')
}

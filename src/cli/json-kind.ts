/**
 * Tells the JSON files of a model apart by the names of their outermost fields: only a tokenizer.json is a tokenizer.
 * Reads the beginning of the file, and checks nothing.
 */
import { basename, dirname } from 'node:path'
import { HEAD_BYTES } from '../lib/file-kind.ts'
import type { OtherKind } from '../lib/other-kind.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { veritCommand } from '../lib/shell-word.ts'

/** Fields that tokenizer.json has (Hugging Face tokenizers), one of them near its beginning. */
const TOKENIZER: readonly string[] = [
  'model',
  'added_tokens',
  'truncation',
  'padding',
  'normalizer',
  'pre_tokenizer',
  'post_processor',
  'decoder'
]

/** Kinds by a field that only they have. */
const KINDS: readonly (readonly [fields: readonly string[], what: string])[] = [
  [['weight_map'], 'an index of safetensors shards'],
  [['tokenizer_class', 'added_tokens_decoder', 'chat_template'], 'the settings of a tokenizer (tokenizer_config.json)'],
  [['architectures', 'model_type', 'hidden_size'], 'the configuration of a Hugging Face model (config.json)'],
  [['do_sample', 'max_new_tokens', 'eos_token_id'], 'the generation settings of a model (generation_config.json)']
]

/** The kind of a JSON file that is not a tokenizer.json; undefined if it may be one. */
export function otherJson(source: ByteSource): OtherKind | undefined {
  const head = Buffer.alloc(Math.min(HEAD_BYTES, source.size))
  source.read(0, head)
  const names = outermostNames(head.toString('utf8'))
  if (TOKENIZER.some(name => names.has(name)) || basename(source.name).endsWith('tokenizer.json')) return undefined
  const what = KINDS.find(([fields]) => fields.some(name => names.has(name)))?.[1]
  if (what === undefined) {
    const fix = 'Give a .gguf, .safetensors or .model file, or a tokenizer.json'
    return { problem: 'it is a JSON file, but not a tokenizer.json', fix }
  }
  const convert = veritCommand('convert', dirname(source.name), 'model.gguf')
  const fix = `Inspect a .safetensors file or the tokenizer.json of its folder, or convert the folder: ${convert}`
  return { problem: `it is ${what}`, fix }
}

const TOKEN = /"((?:[^"\\]|\\.)*)"(\s*:)?|[[\]{}]/g

/** The names of the outermost object, as far as the text goes; none for a list. */
function outermostNames(text: string): Set<string> {
  const names = new Set<string>()
  let depth = 0
  for (const [token, name, colon] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    else if (depth === 1 && colon !== undefined) names.add(name!)
  }
  return names
}

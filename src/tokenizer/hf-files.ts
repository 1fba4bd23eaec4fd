/**
 * The files beside tokenizer.json that tell Hugging Face's transformers the roles of special tokens: with them,
 * `AutoTokenizer.from_pretrained(folder)` knows `eos_token`. Verit reads tokenizer.json alone.
 */
import type { TextTokenizer } from './text-tokenizer.ts'

/** Roles of tokens by id, where they differ from those of the tokenizer. */
export interface TokenRoles {
  readonly begin?: number | undefined
  readonly end?: number | undefined
}

const text = (value: object): string => `${JSON.stringify(value, null, 2)}\n`

/** Names and contents. */
export function companionFiles(tokenizer: TextTokenizer, roles: TokenRoles = {}): [name: string, text: string][] {
  const { begin = tokenizer.beginOfText, end = tokenizer.endOfText } = roles
  const named = {
    ...(begin !== undefined && { bos_token: tokenizer.token(begin) }),
    ...(end !== undefined && { eos_token: tokenizer.token(end) })
  }
  const others = [...tokenizer.specials].filter(([, id]) => id !== begin && id !== end).map(([name]) => name)
  const map = { ...named, ...(others.length > 0 && { additional_special_tokens: others }) }
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false, ...map }
  return [
    ['tokenizer_config.json', text(config)],
    ['special_tokens_map.json', text(map)]
  ]
}

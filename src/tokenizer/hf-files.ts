/**
 * The files beside tokenizer.json that tell Hugging Face's transformers the roles of special tokens: with them,
 * `AutoTokenizer.from_pretrained(folder)` knows `eos_token`. Verit reads tokenizer.json alone.
 */
import type { Tokenizer } from './tokenizer.ts'

/** Names and contents. */
export function companionFiles(tokenizer: Tokenizer): [name: string, text: string][] {
  const { beginOfText, endOfText, specials } = tokenizer
  const roles = {
    ...(beginOfText !== undefined && { bos_token: tokenizer.token(beginOfText) }),
    ...(endOfText !== undefined && { eos_token: tokenizer.token(endOfText) })
  }
  const others = [...specials].filter(([, id]) => id !== beginOfText && id !== endOfText).map(([name]) => name)
  const map = { ...roles, ...(others.length > 0 && { additional_special_tokens: others }) }
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false, ...map }
  const text = (value: object): string => `${JSON.stringify(value, null, 2)}\n`
  return [
    ['tokenizer_config.json', text(config)],
    ['special_tokens_map.json', text(map)]
  ]
}

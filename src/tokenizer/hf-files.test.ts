import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Tokenizer as HuggingFace } from '@huggingface/tokenizers'
import { companionFiles } from './hf-files.ts'
import { Tokenizer } from './tokenizer.ts'
import { TokenizerTrainer } from './train-tokenizer.ts'

function trained(specials: readonly string[], kind: 'bpe' | 'character' = 'bpe'): Tokenizer {
  const trainer = new TokenizerTrainer({ kind, vocabSize: 270, specials })
  trainer.push('the times and the tides')
  trainer.end()
  return trainer.finish()
}

type Contents = Record<string, unknown>

const companionsOf = (tokenizer: Tokenizer): Record<string, Contents> =>
  Object.fromEntries(companionFiles(tokenizer).map(([name, text]) => [name, JSON.parse(text) as Contents]))

test('the files beside tokenizer.json name the roles of its special tokens', () => {
  const files = companionsOf(trained(['<|endoftext|>', '<|user|>']))
  const roles = {
    bos_token: '<|endoftext|>',
    eos_token: '<|endoftext|>',
    additional_special_tokens: ['<|user|>']
  }
  assert.deepEqual(files['special_tokens_map.json'], roles)
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false }
  assert.deepEqual(files['tokenizer_config.json'], { ...config, ...roles })
  assert.deepEqual(companionsOf(trained([], 'character'))['special_tokens_map.json'], {})
})

test('Hugging Face reads the tokenizer together with its configuration', () => {
  const tokenizer = trained(['<|endoftext|>'])
  const config = companionsOf(tokenizer)['tokenizer_config.json']!
  const theirs = new HuggingFace(JSON.parse(tokenizer.toJSON()) as object, config)
  const { ids } = theirs.encode('the tides', { add_special_tokens: false })
  assert.deepEqual(ids, [...tokenizer.encode('the tides')])
})

/** The files of a tokenizer and of conversation settings in a Hugging Face folder. */
import { companionFiles } from '../tokenizer/hf-files.ts'
import { sentencePieceToJson } from '../tokenizer/sentencepiece-json.ts'
import { SentencePieceTokenizer } from '../tokenizer/sentencepiece.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { invariant } from '../lib/errors.ts'
import { rolesOf } from './gguf-conversation.ts'
import type { ModelSource } from './model-source.ts'

/** Names of templates that can name a file. They come from the model, so they may not lead out of the folder. */
const FILE_NAME = /^\w[\w.-]{0,63}$/

/** Names and contents. */
export function hfTokenizerFiles({ tokenizer, conversation }: ModelSource): [name: string, text: string][] {
  const { begin, addsBegin, ends, template, otherTemplates } = conversation
  const { eos } = rolesOf(ends)
  const json = withBegin(jsonOf(tokenizer), addsBegin.value ? begin : undefined)
  const ids = ends.map(({ id }) => id)
  const generation = {
    ...(begin === undefined ? {} : { bos_token_id: begin.id }),
    ...(ids.length === 0 ? {} : { eos_token_id: ids.length === 1 ? ids[0] : ids })
  }
  return [
    ['tokenizer.json', json],
    ...companionFiles(tokenizer, { begin: begin?.id, end: eos?.id }),
    ['generation_config.json', `${JSON.stringify(generation, null, 2)}\n`],
    ...(template === undefined ? [] : ([['chat_template.jinja', template.text]] as [string, string][])),
    ...otherTemplates
      .filter(({ name }) => FILE_NAME.test(name))
      .map(({ name, text }): [string, string] => [`additional_chat_templates/${name}.jinja`, text])
  ]
}

function jsonOf(tokenizer: TextTokenizer): string {
  if (tokenizer instanceof Tokenizer) return tokenizer.toJSON()
  invariant(tokenizer instanceof SentencePieceTokenizer, 'a tokenizer is of one of two kinds')
  return sentencePieceToJson(tokenizer.toParts())
}

/** The rule that puts the begin token before each text. */
function withBegin(json: string, begin: { readonly id: number; readonly text: string } | undefined): string {
  if (begin === undefined) return json
  const { id, text } = begin
  const special = { SpecialToken: { id: text, type_id: 0 } }
  const sequence = (which: string, type: number): object => ({ Sequence: { id: which, type_id: type } })
  const rule = {
    type: 'TemplateProcessing',
    single: [special, sequence('A', 0)],
    pair: [special, sequence('A', 0), special, sequence('B', 1)],
    special_tokens: { [text]: { id: text, ids: [id], tokens: [text] } }
  }
  return json.replace('\n"post_processor": null,\n', () => `\n"post_processor": ${JSON.stringify(rule)},\n`)
}

/** `verit tokenizer`: train a tokenizer, turn text into token ids and back. */
import { Command } from 'commander'
import { decodeCommand, encodeCommand } from './tokenizer-code.ts'
import { trainCommand } from './tokenizer-train.ts'

export function command(): Command {
  return new Command('tokenizer')
    .summary('train a tokenizer; encode and decode text')
    .description(
      'Byte-level BPE and character tokenizers in the tokenizer.json format of Hugging Face. encode and decode ' +
        'also read the tokenizers of GGUF and SentencePiece models.'
    )
    .addCommand(trainCommand())
    .addCommand(encodeCommand())
    .addCommand(decodeCommand())
    .addHelpText(
      'after',
      `
Examples:
  verit tokenizer train book.txt --out tokenizer.json --vocab-size 8192
  verit tokenizer encode --tokenizer tokenizer.json --text "Hello there"
  verit tokenizer decode --tokenizer tokenizer.json 314 15 92`
    )
}

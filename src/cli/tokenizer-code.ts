/** `verit tokenizer encode` and `decode`: text to token ids and back. */
import { Command } from 'commander'
import { Cleaner } from '../data/clean.ts'
import { checkKind, readText } from '../data/read-text.ts'
import { VeritError } from '../lib/errors.ts'
import { openTokenizer } from './open-tokenizer.ts'
import { readStandardText } from './standard-text.ts'
import { asTextOption } from './text-options.ts'

const TOKENIZER = 'tokenizer.json, a folder that contains one, a training run, a GGUF model, or a SentencePiece .model'

interface EncodeFlags {
  tokenizer: string
  text?: string
  clean: boolean
  asText?: true
  allowSpecial?: true
  json?: true
}

export function encodeCommand(): Command {
  const c = new Command('encode')
    .description(
      'Prints the token ids of a text on one line. Files and standard input are cleaned as verit prepare cleans ' +
        'them: no byte order mark, no control characters, CR LF as LF. --text is not cleaned.'
    )
    .argument('[file]', 'text file to encode; - or none: standard input')
    .requiredOption('-t, --tokenizer <file>', TOKENIZER)
    .option('--text <text>', 'encode this text instead of a file')
    .option('--no-clean', 'do not clean the text')
    .option('--allow-special', 'encode special tokens in the text as special tokens (default: as plain text)')
    .option('--json', 'print a JSON object with ids, tokens and counts')
  return asTextOption(c)
    .addHelpText(
      'after',
      `
Examples:
  verit tokenizer encode --tokenizer tokenizer.json --text "Hello there"
  verit tokenizer encode --tokenizer data/book book.txt --json
  verit tokenizer encode --tokenizer data/book page.html --as-text
  verit tokenizer encode --tokenizer llama.model --text "Hello there" --json`
    )
    .action(encode)
}

function encode(file: string | undefined, flags: EncodeFlags): void {
  const tokenizer = openTokenizer(flags.tokenizer)
  const text = flags.text ?? textOf(file, flags)
  const ids = [...tokenizer.encode(text, { allowSpecial: flags.allowSpecial ?? false })]
  if (flags.json !== true) return void process.stdout.write(`${ids.join(' ')}\n`)
  const tokens = ids.map(id => tokenizer.token(id))
  process.stdout.write(`${JSON.stringify({ ids, tokens, count: ids.length, bytes: Buffer.byteLength(text) })}\n`)
}

function textOf(file: string | undefined, { clean, asText }: EncodeFlags): string {
  if (file === undefined || file === '-') {
    const text = readStandardText({ asText })
    return clean ? cleaned(text) : text
  }
  checkKind(file, { asText })
  return [...readText(file, { clean })].join('')
}

function cleaned(text: string): string {
  const cleaner = new Cleaner()
  return cleaner.push(text) + cleaner.end()
}

export function decodeCommand(): Command {
  return new Command('decode')
    .description('Prints the text of token ids.')
    .argument('[ids...]', 'token ids; none: numbers from standard input')
    .requiredOption('-t, --tokenizer <file>', TOKENIZER)
    .option('--skip-special', 'omit special tokens')
    .option('--json', 'print a JSON object with the text')
    .addHelpText(
      'after',
      `
Examples:
  verit tokenizer decode --tokenizer tokenizer.json 314 15 92
  verit tokenizer encode --tokenizer t.json book.txt | verit tokenizer decode --tokenizer t.json`
    )
    .action((words: string[], flags: { tokenizer: string; skipSpecial?: true; json?: true }) => {
      const tokenizer = openTokenizer(flags.tokenizer)
      const given =
        words.length > 0
          ? words
          : readStandardText()
              .split(/[\s,[\]]+/)
              .filter(w => w !== '')
      const ids = given.map(word => {
        if (/^\d{1,9}$/.test(word)) return Number(word)
        const problem = `${JSON.stringify(word.slice(0, 40))} is not a token id`
        throw new VeritError('VERIT_USAGE', { problem, hint: 'Give whole numbers' })
      })
      const text = tokenizer.decode(ids, { skipSpecial: flags.skipSpecial ?? false })
      const plain = process.stdout.isTTY ? `${text}\n` : text
      process.stdout.write(flags.json ? `${JSON.stringify({ text, count: ids.length })}\n` : plain)
    })
}

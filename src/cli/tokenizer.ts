/** `verit tokenizer`: train a tokenizer, turn text into token ids and back. */
import { Command, Option } from 'commander'
import { readFileSync } from 'node:fs'
import { Corpus } from '../data/corpus.ts'
import { DEFAULT_EXTENSIONS, listInputs } from '../data/inputs.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { Progress } from '../lib/progress.ts'
import { END_OF_TEXT, TokenizerTrainer } from '../tokenizer/train-tokenizer.ts'
import { openTokenizer } from './open-tokenizer.ts'
import { extensionsOption, numberOption, repeatedOption } from './prepare.ts'

export function command(): Command {
  return new Command('tokenizer')
    .summary('train a tokenizer, encode and decode')
    .description('Byte-level BPE and character tokenizers, in the tokenizer.json form of Hugging Face. To encode and decode, also those of GGUF and SentencePiece models.')
    .addCommand(train())
    .addCommand(encode())
    .addCommand(decode())
    .addHelpText('after', `
Examples:
  verit tokenizer train book.txt --out tokenizer.json --vocab-size 8192
  verit tokenizer encode --tokenizer tokenizer.json --text "Hello there"
  verit tokenizer decode --tokenizer tokenizer.json 314 15 92`)
}

function train(): Command {
  return new Command('train')
    .description('Learns a vocabulary from text. The result depends on the text and the options alone.')
    .argument('<input...>', 'text files (UTF-8), or folders of them')
    .requiredOption('-o, --out <file>', 'tokenizer.json to write')
    .addOption(new Option('--kind <kind>', 'byte-level BPE, or one token a character').choices(['bpe', 'character']).default('bpe'))
    .option('--vocab-size <n>', 'tokens of the BPE vocabulary, 257 to 131072', numberOption, 4096)
    .option('--single-digits', 'let no token hold two digits')
    .addOption(new Option('--special <token>', `special token; bpe has ${END_OF_TEXT} anyway; may be repeated`)
      .argParser(repeatedOption).default([], 'none'))
    .option('--extensions <list>', 'files that count inside folders, separated by commas', extensionsOption, [...DEFAULT_EXTENSIONS])
    .option('--replace-invalid', 'read bytes that are not UTF-8 as U+FFFD instead of refusing them')
    .option('--force', 'replace the file if it is there')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', `
Examples:
  verit tokenizer train book.txt --out tokenizer.json --vocab-size 8192
  verit tokenizer train texts/ --out chat.json --special "<|user|>" --special "<|assistant|>"`)
    .action(async (inputs: string[], flags: {
      out: string, kind: 'bpe' | 'character', vocabSize: number, singleDigits?: true, special: string[], extensions: string[], replaceInvalid?: true,
      force?: true, json?: true,
    }) => {
      const trainer = new TokenizerTrainer({
        kind: flags.kind, vocabSize: flags.vocabSize, singleDigits: flags.singleDigits ?? false,
        specials: flags.kind === 'bpe' ? [END_OF_TEXT, ...flags.special.filter(s => s !== END_OF_TEXT)] : flags.special,
      })
      const files = listInputs(inputs, flags.extensions)
      const corpus = new Corpus(files, { format: 'text', collapseWhitespace: false, replaceInvalid: flags.replaceInvalid ?? false })
      await corpus.pass('count', { text: piece => trainer.push(piece), end: () => trainer.end() })
      const progress = new Progress({ label: 'learn', total: flags.vocabSize })
      const tokenizer = trainer.finish(progress)
      progress.clear()
      writeFileAtomic(flags.out, tokenizer.toJSON(), { overwrite: flags.force ?? false })
      const { kind, vocabSize, digest } = tokenizer
      const fewer = kind === 'bpe' && vocabSize < flags.vocabSize ? ' (the text holds no more pairs that repeat)' : ''
      process.stdout.write(flags.json ? `${JSON.stringify({ file: flags.out, kind, vocabSize, digest })}\n`
        : `${kind} tokenizer with ${vocabSize.toLocaleString('en-US')} tokens${fewer} written to ${flags.out}\n${digest}\n`)
    })
}

function encode(): Command {
  return new Command('encode')
    .description('Prints the token ids of a text: one line of numbers.')
    .argument('[file]', 'text to encode; - or none: standard input')
    .requiredOption('-t, --tokenizer <file>', 'tokenizer.json, a GGUF model, or a SentencePiece .model')
    .option('--text <text>', 'encode this text instead of a file')
    .option('--allow-special', 'read special tokens in the text as such; otherwise they are plain text')
    .option('--json', 'print an object with ids, tokens and counts')
    .addHelpText('after', `
Examples:
  verit tokenizer encode --tokenizer tokenizer.json --text "Hello there"
  verit tokenizer encode --tokenizer tokenizer.json book.txt --json
  verit tokenizer encode --tokenizer llama.model --text "Hello there" --json`)
    .action((file: string | undefined, flags: { tokenizer: string, text?: string, allowSpecial?: true, json?: true }) => {
      const tokenizer = openTokenizer(flags.tokenizer)
      const text = flags.text ?? readInput(file).toString('utf8')
      const ids = [...tokenizer.encode(text, { allowSpecial: flags.allowSpecial ?? false })]
      process.stdout.write(flags.json
        ? `${JSON.stringify({ ids, tokens: ids.map(id => tokenizer.token(id)), count: ids.length, bytes: Buffer.byteLength(text) })}\n` : `${ids.join(' ')}\n`)
    })
}

function decode(): Command {
  return new Command('decode')
    .description('Prints the text of token ids.')
    .argument('[ids...]', 'token ids; none: numbers from standard input')
    .requiredOption('-t, --tokenizer <file>', 'tokenizer.json, a GGUF model, or a SentencePiece .model')
    .option('--skip-special', 'leave out special tokens')
    .option('--json', 'print an object with the text')
    .addHelpText('after', `
Examples:
  verit tokenizer decode --tokenizer tokenizer.json 314 15 92
  verit tokenizer encode --tokenizer t.json book.txt | verit tokenizer decode --tokenizer t.json`)
    .action((words: string[], flags: { tokenizer: string, skipSpecial?: true, json?: true }) => {
      const tokenizer = openTokenizer(flags.tokenizer)
      const given = words.length > 0 ? words : readInput(undefined).toString('latin1').split(/[\s,[\]]+/).filter(w => w !== '')
      const ids = given.map(word => {
        if (/^\d{1,9}$/.test(word)) return Number(word)
        throw new VeritError('VERIT_USAGE', { problem: `${JSON.stringify(word.slice(0, 40))} is not a token id`, hint: 'Give whole numbers' })
      })
      const text = tokenizer.decode(ids, { skipSpecial: flags.skipSpecial ?? false })
      process.stdout.write(flags.json ? `${JSON.stringify({ text, count: ids.length })}\n` : text + (process.stdout.isTTY ? '\n' : ''))
    })
}

function readInput(path: string | undefined): Buffer {
  try {
    return readFileSync(path === undefined || path === '-' ? 0 : path)
  } catch (e) {
    throw fileError(e, path ?? 'standard input', 'read', 'the text')
  }
}

/** `verit tokenizer train`: a vocabulary from text files. */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Command, Option } from 'commander'
import { DEFAULT_EXTENSIONS } from '../data/inputs.ts'
import { pushTexts } from '../data/learn-vocabulary.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { Progress } from '../lib/progress.ts'
import { companionFiles } from '../tokenizer/hf-files.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { END_OF_TEXT, TokenizerTrainer } from '../tokenizer/train-tokenizer.ts'
import { extensionsOption, numberOption, repeatedOption } from './prepare.ts'
import { asTextOption, printNotice, separatorOption } from './text-options.ts'
import type { TextFlags } from './text-options.ts'

interface Flags extends TextFlags {
  out: string
  kind: 'bpe' | 'character'
  vocabSize: number
  singleDigits?: true
  special: string[]
  extensions: string[]
  replaceInvalid?: true
  force?: true
  json?: true
}

export function trainCommand(): Command {
  const c = new Command('train')
    .description('Learns a vocabulary from text. The result depends only on the text and the options.')
    .argument('<input...>', 'text files (UTF-8), or folders of them')
    .requiredOption('-o, --out <file>', 'tokenizer.json to write')
    .addOption(
      new Option('--kind <kind>', 'byte-level BPE, or one token per character')
        .choices(['bpe', 'character'])
        .default('bpe')
    )
    .option('--vocab-size <n>', 'vocabulary size of the BPE tokenizer, 257 to 131072', numberOption, 4096)
    .option('--single-digits', 'give every digit a token of its own')
    .addOption(
      new Option('--special <token>', `additional special token; bpe always has ${END_OF_TEXT} (repeatable)`)
        .argParser(repeatedOption)
        .default([], 'none')
    )
  return asTextOption(separatorOption(c))
    .option('--extensions <list>', 'file name extensions to read in folders, separated by commas', extensionsOption, [
      ...DEFAULT_EXTENSIONS
    ])
    .option('--replace-invalid', 'read invalid UTF-8 as U+FFFD instead of refusing the file')
    .option('--force', 'replace an existing file')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
A file called tokenizer.json gets tokenizer_config.json and special_tokens_map.json beside it, for transformers.

Examples:
  verit tokenizer train book.txt --out tokenizer.json --vocab-size 8192
  verit tokenizer train texts/ --out chat.json --special "<|user|>" --special "<|assistant|>"`
    )
    .action(train)
}

async function train(inputs: string[], flags: Flags): Promise<void> {
  const trainer = new TokenizerTrainer({
    kind: flags.kind,
    vocabSize: flags.vocabSize,
    singleDigits: flags.singleDigits ?? false,
    specials: flags.kind === 'bpe' ? [END_OF_TEXT, ...flags.special.filter(s => s !== END_OF_TEXT)] : flags.special
  })
  const overwrite = flags.force ?? false
  const { asText = false, replaceInvalid = false, separator, extensions } = flags
  await pushTexts(inputs, trainer, { asText, replaceInvalid, separator, extensions, onNotice: printNotice })
  const progress = new Progress({ label: 'learn', total: flags.vocabSize })
  const tokenizer = trainer.finish(progress)
  progress.clear()
  const companions = companionsOf(flags.out, tokenizer)
  const there = companions.find(([path]) => !overwrite && existsSync(path))
  if (there !== undefined) throw new VeritError('VERIT_FILE_EXISTS', { path: there[0] })
  writeFileAtomic(flags.out, tokenizer.toJSON(), { overwrite })
  for (const [path, text] of companions) writeFileAtomic(path, text, { overwrite })
  const { kind, vocabSize, digest } = tokenizer
  const fewer = kind === 'bpe' && vocabSize < flags.vocabSize ? ' (the text has no more pairs that repeat)' : ''
  process.stdout.write(
    flags.json
      ? `${JSON.stringify({ file: flags.out, kind, vocabSize, digest })}\n`
      : `${kind} tokenizer with ${vocabSize.toLocaleString('en-US')} tokens${fewer} written to ` +
          `${flags.out}\n${digest}\n`
  )
}

/** Files to write beside the tokenizer. A tokenizer under another name may share its folder with others. */
function companionsOf(out: string, tokenizer: Tokenizer): [path: string, text: string][] {
  if (basename(out) !== 'tokenizer.json') return []
  return companionFiles(tokenizer).map(([name, text]) => [join(dirname(out), name), text])
}

/** `verit prepare`: text files to packed token shards with a train/validation split and a manifest. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { DEFAULT_EXTENSIONS } from '../data/inputs.ts'
import { prepare } from '../data/prepare.ts'
import type { PrepareOptions } from '../data/prepare.ts'
import { commandName } from '../lib/command-name.ts'
import type { Manifest } from '../data/manifest.ts'
import type { DataFormat } from '../data/document-splitter.ts'
import type { SplitRule } from '../data/split.ts'
import { formatBytes } from '../lib/progress.ts'
import { END_OF_TEXT } from '../tokenizer/train-tokenizer.ts'
import { interruptible } from './interruption.ts'

/** Reads a number from the command line. */
export function numberOption(text: string): number {
  const n = text.trim() === '' ? NaN : Number(text)
  if (!Number.isFinite(n)) throw new InvalidArgumentError('It is not a number.')
  return n
}

/** Reads ".txt,md" as ['.txt', '.md']. */
export function extensionsOption(text: string): string[] {
  return text.split(',').map(e => e.trim()).filter(e => e !== '').map(e => e.startsWith('.') ? e : `.${e}`)
}

/** Collects an option that may be repeated. (A list after one flag would swallow the inputs.) */
export function repeatedOption(value: string, before: string[]): string[] {
  return [...before, value]
}

interface Flags {
  out: string
  force?: true
  format: DataFormat
  extensions: string[]
  collapseWhitespace?: true
  replaceInvalid?: true
  minChars: number
  dedup: boolean
  validation: number
  split: SplitRule | 'auto'
  seed: number
  tokenizer?: string
  tokenizerKind: 'bpe' | 'character'
  vocabSize: number
  singleDigits?: true
  special: string[]
  shardTokens: number
  json?: true
}

export function command(): Command {
  return new Command('prepare')
    .summary('text files to a dataset: clean, deduplicate, split, tokenize')
    .description('Turns text files into a dataset to train on: cleaned, without duplicates, split into train and validation, tokenized. '
      + 'Everything is recorded in manifest.json; the same input gives the same bytes. Formats and rules: docs/data.md.')
    .argument('<input...>', 'text files (UTF-8), or folders of them')
    .requiredOption('-o, --out <folder>', 'folder to make')
    .addOption(new Option('--format <format>', 'what a document is: a file, a line, or text between blank lines')
      .choices(['text', 'lines', 'paragraphs']).default('text'))
    .option('--extensions <list>', 'files that count inside folders, separated by commas', extensionsOption, [...DEFAULT_EXTENSIONS])
    .option('--collapse-whitespace', 'make each run of whitespace one space, or one or two line feeds')
    .option('--replace-invalid', 'read bytes that are not UTF-8 as U+FFFD instead of refusing them')
    .option('--min-chars <n>', 'drop shorter documents', numberOption, 1)
    .option('--no-dedup', 'keep documents that were there before')
    .option('--validation <share>', 'share of the validation side', numberOption, 0.1)
    .addOption(new Option('--split <rule>', 'by content (the same text is never on both sides) or the tail of the text; auto: by content, unless there are few documents')
      .choices(['auto', 'content', 'tail']).default('auto'))
    .option('--seed <n>', 'seed of the split by content', numberOption, 0)
    .option('--tokenizer <file>', 'use this tokenizer.json instead of training one')
    .addOption(new Option('--tokenizer-kind <kind>', 'what to train').choices(['bpe', 'character']).default('bpe'))
    .option('--vocab-size <n>', 'tokens of the BPE vocabulary, 257 to 131072', numberOption, 4096)
    .option('--single-digits', 'let no token hold two digits')
    .addOption(new Option('--special <token>', `special token besides ${END_OF_TEXT}, for instance "<|user|>"; may be repeated`)
      .argParser(repeatedOption).default([], 'none'))
    .option('--shard-tokens <n>', 'most tokens in a shard', numberOption, 1 << 26)
    .option('--force', 'replace a dataset that is there')
    .option('--json', 'print the manifest as JSON')
    .addHelpText('after', `
Examples:
  verit prepare book.txt --out data/book
  verit prepare articles/ notes.md --out data/mine --format paragraphs --vocab-size 8192
  verit prepare shakespeare.txt --out data/shakespeare --tokenizer-kind character --split tail`)
    .action(async (inputs: string[], flags: Flags) => {
      const controller = new AbortController()
      const manifest = await interruptible(() => controller.abort(), () => prepare(inputs, toOptions(flags, controller.signal)))
      process.stdout.write(flags.json ? `${JSON.stringify(manifest)}\n` : summary(manifest, flags))
    })
}

function toOptions(flags: Flags, signal: AbortSignal): PrepareOptions {
  const character = flags.tokenizerKind === 'character'
  return {
    out: flags.out,
    force: flags.force ?? false,
    format: flags.format,
    extensions: flags.extensions,
    collapseWhitespace: flags.collapseWhitespace ?? false,
    replaceInvalid: flags.replaceInvalid ?? false,
    minCharacters: flags.minChars,
    deduplicate: flags.dedup,
    validation: flags.validation,
    split: flags.split,
    seed: flags.seed,
    ...(flags.tokenizer !== undefined && { tokenizer: flags.tokenizer }),
    training: {
      kind: flags.tokenizerKind, vocabSize: flags.vocabSize, singleDigits: flags.singleDigits ?? false,
      specials: [...character ? [] : [END_OF_TEXT], ...flags.special.filter(s => character || s !== END_OF_TEXT)],
    },
    shardTokens: flags.shardTokens,
    signal,
  }
}

const count = (n: number): string => n.toLocaleString('en-US')

function summary(m: Manifest, flags: Flags): string {
  const { splits, documents: { read, short, duplicates, kept } } = m
  const side = (name: 'train' | 'validation'): string => {
    const s = splits[name]
    return `${name.padEnd(10)} ${count(s.documents)} documents, ${formatBytes(s.bytes)}, ${count(s.tokens)} tokens\n`
  }
  const cut = splits.train.documents + splits.validation.documents > kept ? ', which begins inside a document' : ''
  const rule = m.options.split.rule === 'tail' ? `the tail of the text${cut}` : 'by content'
  const wanted = flags.tokenizer === undefined && m.tokenizer.kind === 'bpe' && m.tokenizer.vocabSize < flags.vocabSize
  return `documents  ${count(read)} read, ${count(duplicates)} duplicates and ${count(short)} short ones dropped, ${count(kept)} kept
tokenizer  ${m.tokenizer.kind}, ${count(m.tokenizer.vocabSize)} tokens${wanted ? ' (the text holds no more pairs that repeat)' : ''}
${side('train')}${side('validation')}split      ${rule}
Dataset written to ${flags.out}. Train on it: ${commandName} train ${flags.out}
`
}

/** `verit prepare`: text files to packed token shards with a train/validation split and a manifest. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { DEFAULT_EXTENSIONS } from '../data/inputs.ts'
import { prepare } from '../data/prepare.ts'
import type { PrepareOptions } from '../data/prepare.ts'
import type { Manifest } from '../data/manifest.ts'
import type { DataFormat } from '../data/document-splitter.ts'
import type { SplitRule } from '../data/split.ts'
import { formatBytes } from '../lib/progress.ts'
import { END_OF_TEXT } from '../tokenizer/train-tokenizer.ts'
import { veritCommand } from '../lib/shell-word.ts'
import { interruptible } from './interruption.ts'
import { asTextOption, printNotice, separatorOption } from './text-options.ts'
import type { TextFlags } from './text-options.ts'

/** Reads a number from the command line. */
export function numberOption(text: string): number {
  const n = text.trim() === '' ? NaN : Number(text)
  if (!Number.isFinite(n)) throw new InvalidArgumentError('It is not a number.')
  return n
}

/** Reads ".txt,md" as ['.txt', '.md']. */
export function extensionsOption(text: string): string[] {
  return text
    .split(',')
    .map(e => e.trim())
    .filter(e => e !== '')
    .map(e => (e.startsWith('.') ? e : `.${e}`))
}

/** Collects an option that may be repeated. (A list after one flag would swallow the inputs.) */
export function repeatedOption(value: string, before: string[]): string[] {
  return [...before, value]
}

interface Flags extends TextFlags {
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
  const c = new Command('prepare')
    .summary('clean, deduplicate, split and tokenize text files into a dataset')
    .description(
      'Turns text files into a dataset: cleaned, deduplicated, split into training and validation, tokenized. ' +
        'manifest.json records every option and digest. The same input gives the same bytes. Formats and rules: ' +
        'docs/guide/data.md.'
    )
    .argument('<input...>', 'text files (UTF-8), or folders of them')
    .requiredOption('-o, --out <folder>', 'dataset folder to create')
    .addOption(
      new Option('--format <format>', 'unit of a document: a file, a line, or a paragraph between blank lines')
        .choices(['text', 'lines', 'paragraphs'])
        .default('text')
    )
  return asTextOption(separatorOption(c))
    .option('--extensions <list>', 'file name extensions to read in folders, separated by commas', extensionsOption, [
      ...DEFAULT_EXTENSIONS
    ])
    .option('--collapse-whitespace', 'reduce each run of whitespace to one space, or to one or two line feeds')
    .option('--replace-invalid', 'read invalid UTF-8 as U+FFFD instead of refusing the file')
    .option('--min-chars <n>', 'drop documents with fewer characters', numberOption, 1)
    .option('--no-dedup', 'keep duplicate documents')
    .option('--validation <share>', 'share of the validation split', numberOption, 0.1)
    .addOption(
      new Option(
        '--split <rule>',
        'content: by digest, so that no text is in both splits; tail: the end of the text; auto: content, or tail ' +
          'for few documents'
      )
        .choices(['auto', 'content', 'tail'])
        .default('auto')
    )
    .option('--seed <n>', 'seed of the split by content', numberOption, 0)
    .option('--tokenizer <file>', 'use this tokenizer.json instead of training one')
    .addOption(
      new Option('--tokenizer-kind <kind>', 'kind of tokenizer to train').choices(['bpe', 'character']).default('bpe')
    )
    .option('--vocab-size <n>', 'vocabulary size of the BPE tokenizer, 257 to 131072', numberOption, 4096)
    .option('--single-digits', 'give every digit a token of its own')
    .addOption(
      new Option('--special <token>', `special token besides ${END_OF_TEXT}, such as "<|user|>" (repeatable)`)
        .argParser(repeatedOption)
        .default([], 'none')
    )
    .option('--shard-tokens <n>', 'maximum number of tokens per shard', numberOption, 1 << 26)
    .option('--force', 'replace an existing dataset')
    .option('--json', 'print the manifest as JSON')
    .addHelpText(
      'after',
      `
Examples:
  verit prepare book.txt --out data/book
  verit prepare articles/ notes.md --out data/mine --format paragraphs --vocab-size 8192
  verit prepare stories.txt --out data/stories --separator "<|endoftext|>"
  verit prepare shakespeare.txt --out data/shakespeare --tokenizer-kind character --split tail

A file is known by its content. Named files that are not plain text in UTF-8 are refused with the next step; in folders
they are skipped, as are hidden files, and the counts are shown.`
    )
    .action(async (inputs: string[], flags: Flags) => {
      const controller = new AbortController()
      const manifest = await interruptible(
        () => controller.abort(),
        () => prepare(inputs, toOptions(flags, controller.signal))
      )
      process.stdout.write(flags.json ? `${JSON.stringify(manifest)}\n` : summary(manifest, flags))
    })
}

function toOptions(flags: Flags, signal: AbortSignal): PrepareOptions {
  const character = flags.tokenizerKind === 'character'
  return {
    out: flags.out,
    force: flags.force ?? false,
    format: flags.format,
    separator: flags.separator,
    asText: flags.asText ?? false,
    onNotice: printNotice,
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
      kind: flags.tokenizerKind,
      vocabSize: flags.vocabSize,
      singleDigits: flags.singleDigits ?? false,
      specials: [...(character ? [] : [END_OF_TEXT]), ...flags.special.filter(s => character || s !== END_OF_TEXT)]
    },
    shardTokens: flags.shardTokens,
    signal
  }
}

const count = (n: number): string => n.toLocaleString('en-US')
const plural = (n: number, one: string): string => `${count(n)} ${one}${n === 1 ? '' : 's'}`

function summary(m: Manifest, flags: Flags): string {
  const {
    splits,
    documents: { read, short, duplicates, kept }
  } = m
  // By position, the border can fall inside a document: then both sides count their part of it.
  const cut = splits.train.documents + splits.validation.documents > kept
  const side = (name: 'train' | 'validation'): string => {
    const { documents, bytes, tokens } = splits[name]
    const part = name === 'train' ? ' and the first part of one' : ' and the rest of that one'
    const shown = cut ? plural(documents - 1, 'document') + part : plural(documents, 'document')
    return `${name.padEnd(10)} ${shown}, ${formatBytes(bytes)}, ${count(tokens)} tokens\n`
  }
  const rule = m.options.split.rule === 'tail' ? 'the tail of the text is for validation' : 'by content'
  const wanted = flags.tokenizer === undefined && m.tokenizer.kind === 'bpe' && m.tokenizer.vocabSize < flags.vocabSize
  const fewer = wanted ? ' (the text has no more pairs that repeat)' : ''
  const dropped = `${count(duplicates)} duplicates and ${count(short)} short ones dropped`
  return `documents  ${count(read)} read, ${count(kept)} kept; ${dropped}
tokenizer  ${m.tokenizer.kind}, ${count(m.tokenizer.vocabSize)} tokens${fewer}
${side('train')}${side('validation')}split      ${rule}
Dataset written to ${flags.out}. Train on it: ${veritCommand('train', flags.out)}
`
}

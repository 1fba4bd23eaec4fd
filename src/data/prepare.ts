/**
 * Text files to a dataset: read, clean, deduplicate and split (first pass), learn a vocabulary unless one is given
 * (second), encode into shards (last). The result depends only on the bytes of the inputs, their names and the options;
 * docs/guide/data.md has the formats and rules.
 */
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { Progress } from '../lib/progress.ts'
import type { ProgressOptions } from '../lib/progress.ts'
import { companionFiles } from '../tokenizer/hf-files.ts'
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { END_OF_TEXT, TokenizerTrainer } from '../tokenizer/train-tokenizer.ts'
import type { TrainTokenizerOptions } from '../tokenizer/train-tokenizer.ts'
import { admitInputs } from './admit-inputs.ts'
import { CLEANING_VERSION } from './clean.ts'
import { Corpus } from './corpus.ts'
import type { DataFormat } from './document-splitter.ts'
import { DEFAULT_EXTENSIONS, listInputs } from './inputs.ts'
import type { PassedOver } from './inputs.ts'
import { MANIFEST_FORMAT, MANIFEST_VERSION, manifestText } from './manifest.ts'
import type { Manifest } from './manifest.ts'
import { NameCounter } from './name-counter.ts'
import { textNotices } from './notices.ts'
import { OutFolder } from '../lib/out-folder.ts'
import { isDatasetFolder } from '../lib/run-files.ts'
import { Router } from './router.ts'
import { checkSeparator } from './separator.ts'
import type { Separator } from './separator.ts'
import { SplitEncoder } from './split-encoder.ts'
import { EXPECTED_VALIDATION_DOCUMENTS, tailTrainCharacters } from './split.ts'
import type { SplitRule } from './split.ts'
import { survey } from './survey.ts'
import type { Survey } from './survey.ts'

/** Options of `prepare`; the defaults are those of `verit prepare`. */
export interface PrepareOptions {
  /** Folder to make. */
  out: string
  /** Replace a dataset that is there. Default false. */
  force?: boolean
  /** Default 'text'. */
  format?: DataFormat
  /**
   * Separator of documents in a file, besides `format`. 'auto' (default): lines with only an end-of-text name such as
   * `<|endoftext|>`; 'none'; or a text, anywhere.
   */
  separator?: Separator | undefined
  /** Files that count inside folders. Default .txt, .md, .text. */
  extensions?: readonly string[]
  /** Read JSON, CSV, HTML and the like as plain text. Default false: refuse them. */
  asText?: boolean
  /** Default false. */
  collapseWhitespace?: boolean
  /** Read bytes that are not UTF-8 as U+FFFD. Default false: refuse them. */
  replaceInvalid?: boolean
  /** Drop documents with fewer characters. Default 1. */
  minCharacters?: number
  /** Drop documents that were there before. Default true. */
  deduplicate?: boolean
  /** Share of the validation side, 0 to below 1. Default 0.1. */
  validation?: number
  /** Default 'auto': by content when that gives 20 validation documents or more, else the tail. */
  split?: SplitRule | 'auto'
  /** Seed of the split by content, 0 to 2^53 - 1. Default 0. */
  seed?: number
  /** An existing tokenizer.json. Default: one is trained. */
  tokenizer?: string
  /** How to train the tokenizer. */
  training?: TrainTokenizerOptions
  /** Most tokens in a shard. Default 67,108,864. */
  shardTokens?: number
  /** Ends the work; nothing is left behind. */
  signal?: AbortSignal
  /** Where progress goes. Default standard error. */
  progress?: ProgressOptions['stream']
  /** Called with sentences about the inputs: files passed over, separators found, special tokens that they spell. */
  onNotice?: (notice: string) => void
}

/** Prepares a dataset and returns its manifest. */
export async function prepare(inputs: readonly string[], options: PrepareOptions): Promise<Manifest> {
  const format = options.format ?? 'text'
  const share = options.validation ?? 0.1
  const shardTokens = options.shardTokens ?? 1 << 26
  const separator = options.separator ?? 'auto'
  const settings = {
    minCharacters: options.minCharacters ?? 1,
    deduplicate: options.deduplicate ?? true,
    seed: options.seed ?? 0,
    validation: share
  }
  if (!(share >= 0 && share < 1)) {
    throw new VeritError('VERIT_USAGE', {
      problem: `A validation share of ${share} is not possible`,
      hint: 'Give a number from 0 to below 1'
    })
  }
  for (const [name, value, least] of [
    ['seed', settings.seed, 0],
    ['smallest document', settings.minCharacters, 0],
    ['shard size', shardTokens, 1]
  ] as const) {
    if (Number.isSafeInteger(value) && value >= least) continue
    throw new VeritError('VERIT_USAGE', {
      problem: `A ${name} of ${value} is not possible`,
      hint: `Give a whole number, at least ${least}`
    })
  }
  checkSeparator(separator)
  const { asText = false, replaceInvalid = false, collapseWhitespace = false } = options
  const { extensions = DEFAULT_EXTENSIONS } = options
  const given = options.tokenizer === undefined ? undefined : loadTokenizer(options.tokenizer)
  const trainer = given === undefined ? new TokenizerTrainer(options.training) : undefined
  const { signal, progress: stream, onNotice = () => undefined } = options
  const rules = { asText, replaceInvalid, extensions, signal, stream }
  const admitted = await admitInputs(listInputs(inputs, extensions), rules)
  admitted.notices.forEach(onNotice)
  const corpus = new Corpus(admitted.files, { format, separator, collapseWhitespace, replaceInvalid, signal, stream })
  const folder = new OutFolder(options.out, {
    force: options.force ?? false,
    isOwn: isDatasetFolder,
    kind: 'a dataset made by verit prepare',
    hint: 'Choose another --out'
  })
  try {
    const names = new NameCounter(given?.specials.keys() ?? options.training?.specials ?? [END_OF_TEXT])
    const documents = await survey(corpus, { ...settings, names })
    const separated = corpus.separators > 0
    textNotices(corpus, separator, names).forEach(onNotice)
    const joiner = joinerOf(format, separated)
    const rule = chooseRule(documents, share, options.split ?? 'auto')
    const trainCharacters = rule === 'tail' ? tailTrainCharacters(documents.characters, share) : undefined

    let tokenizer = given
    if (trainer) tokenizer = await train(trainer, corpus, documents.decisions, trainCharacters, joiner, options)
    const sides = new SplitEncoder(tokenizer!, folder.temporary, shardTokens, joiner)
    try {
      await corpus.pass('encode', new Router(documents.decisions, trainCharacters, sides))
      sides.finish()
    } finally {
      sides.close()
    }

    const json = tokenizer!.toJSON()
    writeFileAtomic(join(folder.temporary, 'tokenizer.json'), json)
    for (const [name, text] of companionFiles(tokenizer!)) writeFileAtomic(join(folder.temporary, name), text)
    const manifest: Manifest = {
      format: MANIFEST_FORMAT,
      version: MANIFEST_VERSION,
      options: {
        cleaning: CLEANING_VERSION,
        format,
        collapseWhitespace,
        replaceInvalid,
        minCharacters: settings.minCharacters,
        deduplicate: settings.deduplicate,
        split: { rule, validation: share, seed: settings.seed },
        shardTokens,
        // Recorded only if used: digests of other datasets stay the same.
        ...(asText && { asText }),
        ...((separated || separator !== 'auto') && { separator })
      },
      inputs: corpus.records,
      ...recordOf(admitted.passedOver),
      documents: {
        read: documents.read,
        short: documents.short,
        duplicates: documents.duplicates,
        kept: documents.kept
      },
      tokenizer: {
        file: 'tokenizer.json',
        bytes: Buffer.byteLength(json),
        sha256: tokenizer!.digest,
        kind: tokenizer!.kind,
        vocabSize: tokenizer!.vocabSize,
        endOfText: tokenizer!.endOfText ?? null,
        source: given ? 'given' : 'trained'
      },
      splits: sides.records
    }
    writeFileAtomic(join(folder.temporary, 'manifest.json'), manifestText(manifest))
    folder.commit()
    return manifest
  } catch (e) {
    folder.abort()
    throw e
  }
}

/** The text between documents when the vocabulary has no end-of-text token. */
function joinerOf(format: DataFormat, separated: boolean): string {
  if (format === 'lines') return '\n'
  return format === 'paragraphs' || separated ? '\n\n' : ''
}

/** Files with a wanted name that are not in the dataset. */
function recordOf(passedOver: readonly PassedOver[]): Pick<Manifest, 'passedOver'> {
  const files = passedOver.filter(p => p.wanted).map(({ name, reason }) => ({ name, reason }))
  return files.length === 0 ? {} : { passedOver: files }
}

function chooseRule(s: Survey, share: number, wanted: SplitRule | 'auto'): SplitRule {
  if (s.kept === 0) {
    throw new VeritError('VERIT_DATA_EMPTY', {
      what: s.read === 0 ? 'the inputs are empty' : `all ${s.read} documents were dropped`,
      hint: 'Check the inputs, or lower --min-chars'
    })
  }
  const enough = s.kept * share >= EXPECTED_VALIDATION_DOCUMENTS
  const rule = wanted === 'auto' ? (share === 0 || enough ? 'content' : 'tail') : wanted
  const [train, validation] =
    rule === 'content'
      ? [s.kept - s.validation, s.validation]
      : [tailTrainCharacters(s.characters, share), s.characters - tailTrainCharacters(s.characters, share)]
  if (train === 0 || (validation === 0 && share > 0)) {
    throw new VeritError('VERIT_DATA_EMPTY', {
      what: `of ${s.kept} documents none fell on the ${train === 0 ? 'train' : 'validation'} side`,
      hint: 'Use --split tail, --format paragraphs or lines, another --seed, or --validation 0'
    })
  }
  return rule
}

/**
 * BPE learns from the train side alone; a character vocabulary takes in both, or validation text could not be encoded.
 */
async function train(
  trainer: TokenizerTrainer,
  corpus: Corpus,
  decisions: Uint8Array,
  trainCharacters: number | undefined,
  joiner: string,
  options: PrepareOptions
): Promise<Tokenizer> {
  const both = options.training?.kind === 'character'
  const joined = both && !(options.training?.specials ?? []).includes(END_OF_TEXT)
  await corpus.pass(
    'count',
    new Router(decisions, trainCharacters, {
      text: (side, piece) => {
        if (both || side === 'train') trainer.push(piece)
      },
      end: side => {
        if (both || side === 'train') trainer.end()
        if (joined) trainer.push(joiner)
      }
    })
  )
  const progress = new Progress({
    label: 'learn the vocabulary',
    total: options.training?.vocabSize ?? 4096,
    ...(options.progress && { stream: options.progress })
  })
  try {
    return trainer.finish(progress)
  } finally {
    progress.clear()
  }
}

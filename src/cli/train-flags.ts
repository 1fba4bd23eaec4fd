/** The options of `verit train`, and the fields of a run that they set. */
import { Command, Option } from 'commander'
import { trainableKinds } from '../model/config.ts'
import { DEFAULT_PRESET } from '../train/plan-run.ts'
import type { RunWishes } from '../train/plan-run.ts'
import { optionFlag } from '../train/options.ts'
import { trainPresets } from '../train/presets.ts'
import { coresOption, setOption, threadsOption } from './compute-options.ts'
import type { ComputeFlags } from './compute-options.ts'
import { numberOption } from './prepare.ts'
import { asTextOption, separatorOption } from './text-options.ts'

/** Options that set one field each: field, value, text. */
const MODEL = [
  ['layers', 'n', 'number of layers'],
  ['hidden', 'n', 'hidden size'],
  ['heads', 'n', 'attention heads'],
  ['kvHeads', 'n', 'key/value heads (bitnet)'],
  ['ffn', 'n', 'size of the feed-forward layer'],
  ['context', 'n', 'context length in tokens'],
  ['dropout', 'p', 'dropout after the embedding and each block (gpt)'],
  ['theta', 'x', 'ropeTheta, base of the rotary frequencies (bitnet)']
] as const
const TRAIN = [
  ['steps', 'n', 'optimizer steps'],
  ['batch', 'n', 'sequences per micro-batch'],
  ['microBatches', 'n', 'micro-batches per step (gradient accumulation)'],
  ['lr', 'x', 'peak learning rate'],
  ['lrFloor', 'x', 'final learning rate (default: a tenth of the peak)'],
  ['warmup', 'n', 'steps of linear warm-up'],
  ['weightDecay', 'x', 'AdamW weight decay of matrices'],
  ['beta1', 'x', 'AdamW first moment'],
  ['beta2', 'x', 'AdamW second moment'],
  ['eps', 'x', 'AdamW epsilon'],
  ['clip', 'x', 'gradient clipping: maximum norm, 0 for no clipping'],
  ['seed', 'n', 'seed of initial weights, batches and dropout'],
  ['evalEvery', 'n', 'steps between evaluations'],
  ['evalTokens', 'n', 'held-out tokens per evaluation, 0 for all']
] as const

type NumberField = (typeof MODEL)[number][0] | (typeof TRAIN)[number][0]

export interface TrainFlags extends Omit<ComputeFlags, 'packing'>, Partial<Record<NumberField, number>> {
  out?: string
  preset?: string
  depth?: number
  kind?: string
  config?: string
  bias?: boolean
  schedule?: 'cosine' | 'two-stage'
  name?: string
  resume?: string
  dryRun?: true
  saveEvery?: number
  keep: number
  stopAt?: number
  vocabSize?: number
  tokenizerKind?: 'bpe' | 'character'
  asText?: true
  separator?: string
  json?: true
}

/** Flags that only a new run can have. */
export const START_FLAGS = [
  'preset',
  'depth',
  'kind',
  'config',
  'out',
  'name',
  'vocabSize',
  'tokenizerKind',
  'asText',
  'separator'
] as const

/** Flags for preparing a text: a dataset is prepared already. */
export const TEXT_FLAGS = ['vocabSize', 'tokenizerKind', 'asText', 'separator'] as const

const presetList = Object.keys(trainPresets).join(', ')

/** Adds all options. */
export function trainOptions(c: Command): Command {
  c.option('-o, --out <folder>', 'folder of the run (default: runs/ and the name of the data)')
    .option(
      '-p, --preset <name>',
      `preset that the other options start from: ${presetList} (default: ${DEFAULT_PRESET}, or gpt with --kind gpt)`
    )
    .option(
      '--depth <n>',
      'instead of a preset: number of layers, from which width, heads, learning rate and steps follow',
      numberOption
    )
    .addOption(new Option('--kind <kind>', 'kind of model (default: bitnet)').choices(trainableKinds))
    .option('--config <file>', 'JSON file with the objects model and train; overrides the preset')
    .option('-r, --resume <folder>', 'continue a run that was stopped or killed')
    .option('--dry-run', 'measure a few steps, print time, memory and disk space of the run, and stop')
    .option('--name <name>', 'name in the model file (default: kind and size)')
    .option('--save-every <n>', 'steps between checkpoints (default: same as --eval-every)', numberOption)
    .option('--keep <n>', 'number of newest checkpoints to keep, besides the best', numberOption, 2)
    .option('--stop-at <n>', 'save and stop after this step', numberOption)
    .option('--vocab-size <n>', 'vocabulary size of a tokenizer learned from a text file (default: 4096)', numberOption)
    .addOption(
      new Option(
        '--tokenizer-kind <kind>',
        "kind of tokenizer to learn from a text file (default: the preset's)"
      ).choices(['bpe', 'character'])
    )
  asTextOption(separatorOption(c)).option('--json', 'print the training record as one JSON object')
  setOption(coresOption(threadsOption(c)))
  for (const [key, value, text] of MODEL) c.option(`${optionFlag(key)} <${value}>`, `model: ${text}`, numberOption)
  c.option('--bias', 'model: biases in linear layers and norms (gpt)').option('--no-bias', 'model: no biases')
  for (const [key, value, text] of TRAIN) c.option(`${optionFlag(key)} <${value}>`, text, numberOption)
  return c.addOption(new Option('--schedule <name>', 'learning rate schedule').choices(['cosine', 'two-stage']))
}

type FieldTable = readonly (readonly [NumberField, string, string])[]

const fieldsOf = (flags: TrainFlags, table: FieldTable): Record<string, unknown> =>
  Object.fromEntries(table.flatMap(([key]) => (flags[key] === undefined ? [] : [[key, flags[key]]])))

/** Fields of the model and of the training that the command line sets. */
export function fieldsOfFlags(flags: TrainFlags): Pick<RunWishes, 'model' | 'train'> {
  return {
    model: { ...fieldsOf(flags, MODEL), ...(flags.bias !== undefined && { bias: flags.bias }) },
    train: { ...fieldsOf(flags, TRAIN), ...(flags.schedule !== undefined && { schedule: flags.schedule }) }
  }
}

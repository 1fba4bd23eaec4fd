/** `verit train`: a model from a dataset, or from a text file that is prepared first. */
import { Command, Option } from 'commander'
import { existsSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { openDataset } from '../data/dataset.ts'
import type { Dataset } from '../data/dataset.ts'
import { prepare } from '../data/prepare.ts'
import { commandName } from '../lib/command-name.ts'
import { VeritError } from '../lib/errors.ts'
import { formatBytes, formatDuration } from '../lib/progress.ts'
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts'
import { END_OF_TEXT } from '../tokenizer/train-tokenizer.ts'
import { Checkpoint } from '../train/checkpoint.ts'
import type { RunState } from '../train/checkpoint.ts'
import { DEFAULT_PRESET, modelName, planRun, presetOf, readRunFile } from '../train/plan-run.ts'
import { trainPresets } from '../train/presets.ts'
import type { RecordFile } from '../train/record.ts'
import { RunFolder, readSettings } from '../train/run-folder.ts'
import type { TrainSetup } from '../train/setup.ts'
import { train } from '../train/train.ts'
import { coresOption, executorOf, setOption, threadsOption } from './compute-options.ts'
import type { ComputeFlags } from './compute-options.ts'
import { interruptible } from './interruption.ts'
import { numberOption } from './prepare.ts'

/** Options that set one field each: flag, value, text. */
const MODEL = [
  ['layers', 'n', 'blocks'], ['hidden', 'n', 'width of the residual stream'], ['heads', 'n', 'attention heads'],
  ['kvHeads', 'n', 'key and value heads (bitnet)'], ['ffn', 'n', 'width of the feed-forward layer'], ['context', 'n', 'tokens of a sequence'],
  ['dropout', 'p', 'dropout after the embedding and each branch (gpt)'], ['theta', 'x', 'base of the rotary angles (bitnet)'],
] as const
const TRAIN = [
  ['steps', 'n', 'optimizer steps'], ['batch', 'n', 'sequences of a micro-batch'], ['microBatches', 'n', 'micro-batches of a step'],
  ['lr', 'x', 'peak learning rate'], ['lrFloor', 'x', 'rate at the end (default: a tenth of the peak)'], ['warmup', 'n', 'steps of linear warm-up'],
  ['weightDecay', 'x', 'AdamW decay of matrices'], ['beta1', 'x', 'AdamW first moment'], ['beta2', 'x', 'AdamW second moment'],
  ['eps', 'x', 'AdamW epsilon'], ['clip', 'x', 'largest norm of the gradient, 0 for any'], ['seed', 'n', 'seed of weights, batches and dropout'],
  ['evalEvery', 'n', 'steps between evaluations'], ['evalTokens', 'n', 'held-out tokens of an evaluation, 0 for all'],
] as const

interface Flags extends Omit<ComputeFlags, 'packing'>, Partial<Record<(typeof MODEL)[number][0] | (typeof TRAIN)[number][0], number>> {
  out?: string
  preset?: string
  depth?: number
  kind?: 'gpt' | 'bitnet'
  config?: string
  bias?: boolean
  schedule?: 'cosine' | 'two-stage'
  name?: string
  resume?: string
  saveEvery?: number
  keep: number
  stopAt?: number
  vocabSize?: number
  tokenizerKind?: 'bpe' | 'character'
  json?: true
}

const kebab = (key: string): string => `--${key.replace(/[A-Z]/g, c => `-${c.toLowerCase()}`)}`

export function command(): Command {
  const c = new Command('train')
    .summary('train a model from scratch')
    .description('Trains a GPT or a 1.58-bit BitNet from scratch and writes model.gguf, with record.json of how it came about. The same data, options '
      + 'and seed give the same bits on every machine. Ctrl-C saves; --resume goes on as if nothing had happened. All options: docs/training.md.')
    .argument('[data]', 'a dataset made by verit prepare, or a text file (UTF-8), which is prepared into OUT/data first')
    .option('-o, --out <folder>', 'folder of the run (default: runs/ and the name of the data)')
    .option('-p, --preset <name>', `where the options start from: ${Object.keys(trainPresets).join(', ')} (default: ${DEFAULT_PRESET})`)
    .option('--depth <n>', 'instead of a preset: one dial from which width, heads, rate and length of the run follow', numberOption)
    .addOption(new Option('--kind <kind>', 'kind of model for --depth (default: bitnet)').choices(['gpt', 'bitnet']))
    .option('--config <file>', 'JSON with the objects model and train, laid over the preset')
    .option('-r, --resume <folder>', 'go on with a run that was stopped or killed')
    .option('--name <name>', 'name in the model file (default: kind and size)')
    .option('--save-every <n>', 'steps between checkpoints (default: as --eval-every)', numberOption)
    .option('--keep <n>', 'newest checkpoints to keep, beside the best', numberOption, 2)
    .option('--stop-at <n>', 'save and stop after this many steps of the run', numberOption)
    .option('--vocab-size <n>', 'tokens to learn from a text file (default: 4096)', numberOption)
    .addOption(new Option('--tokenizer-kind <kind>', 'tokenizer to learn from a text file (default: that of the preset)').choices(['bpe', 'character']))
    .option('--json', 'print the record as one JSON object')
  setOption(coresOption(threadsOption(c)))
  for (const [key, value, text] of MODEL) c.option(`${kebab(key)} <${value}>`, `model: ${text}`, numberOption)
  c.option('--bias', 'model: biases in linear layers and norms (gpt)').option('--no-bias', 'model: none')
  for (const [key, value, text] of TRAIN) c.option(`${kebab(key)} <${value}>`, text, numberOption)
  return c
    .addOption(new Option('--schedule <name>', 'course of the learning rate').choices(['cosine', 'two-stage']))
    .addHelpText('after', `
Presets:
${Object.entries(trainPresets).map(([name, { about }]) => `  ${name.padEnd(20)}${about}`).join('\n')}

Examples:
  verit train book.txt --out runs/book
  verit train shakespeare.txt --preset shakespeare
  verit train data/mine --depth 6 --steps 3000
  verit train --resume runs/book`)
    .action(async (data: string | undefined, flags: Flags) => {
      const controller = new AbortController(), { signal } = controller
      const interrupt = (): void => {
        if (signal.aborted) process.exit(130)
        process.stderr.write('\nFinishing this step and saving; press Ctrl-C again to quit at once.\n')
        controller.abort()
      }
      const file = await interruptible(interrupt, () => (flags.resume === undefined ? start(data, flags, signal) : resume(flags.resume, data, flags, signal)))
      if (file !== undefined) process.stdout.write(flags.json ? `${JSON.stringify(file.record)}\n` : summary(file.record, file.run))
    })
}

type Done = { record: RecordFile; run: string } | undefined

const fieldsOf = (flags: Flags, table: readonly (readonly [keyof Flags, string, string])[]): Record<string, unknown> =>
  Object.fromEntries(table.flatMap(([key]) => flags[key] === undefined ? [] : [[key, flags[key]]]))

/** Fields of the model and of the training that the command line sets. */
function wishesOf(flags: Flags): { model: Record<string, unknown>; train: Record<string, unknown> } {
  return {
    model: { ...fieldsOf(flags, MODEL), ...flags.bias !== undefined && { bias: flags.bias } },
    train: { ...fieldsOf(flags, TRAIN), ...flags.schedule !== undefined && { schedule: flags.schedule } },
  }
}

async function start(data: string | undefined, flags: Flags, signal: AbortSignal): Promise<Done> {
  if (data === undefined) {
    const hint = 'Give a text file or a dataset, or --resume with the folder of a run'
    throw new VeritError('VERIT_USAGE', { problem: 'There is nothing to train on', hint })
  }
  const path = flags.out ?? join('runs', basename(resolve(data)).replace(/\.[^.]+$/, ''))
  const file = flags.config === undefined ? undefined : readRunFile(flags.config)
  const preset = flags.depth === undefined ? presetOf(flags.preset ?? DEFAULT_PRESET) : undefined
  const characters = flags.tokenizerKind === undefined ? preset?.characters === true : flags.tokenizerKind === 'character'
  if (!existsSync(data)) throw new VeritError('VERIT_FILE_NOT_FOUND', { path: data, purpose: 'what to train on' })
  using run = new RunFolder(path)
  if (run.steps.length > 0) throw new VeritError('VERIT_RUN_EXISTS', { run: path })
  const folder = await datasetFolder(data, path, characters, flags, signal)
  using dataset = openDataset(folder)
  const { config, options } = planRun({ ...flags, file, ...wishesOf(flags) }, dataset.vocabSize, dataset.split('train').length)
  const saveEvery = wholeNumber('--save-every', flags.saveEvery ?? options.evalEvery)
  const settings = { data: resolve(folder), name: flags.name ?? modelName(config), saveEvery, keep: wholeNumber('--keep', flags.keep) }
  return await runIt({ run, settings, config, options, resume: false }, dataset, flags, signal)
}

async function resume(path: string, data: string | undefined, flags: Flags, signal: AbortSignal): Promise<Done> {
  const wishes = wishesOf(flags)
  const others = (['preset', 'depth', 'kind', 'config', 'out', 'name', 'vocabSize', 'tokenizerKind'] as const).filter(key => flags[key] !== undefined)
  const changed = [...Object.keys(wishes.model), ...Object.keys(wishes.train), ...others]
  if (changed.length > 0) {
    const problem = `${kebab(changed[0]!)} cannot be given with --resume: a run goes on with the options it was started with`
    throw new VeritError('VERIT_USAGE', { problem, hint: 'Leave it out' })
  }
  const settings = readSettings(path)
  using run = new RunFolder(path)
  const newest = run.steps.at(-1)
  if (newest === undefined) throw new VeritError('VERIT_RESUME', { run: path, problem: 'it has no checkpoint' })
  const { config, options } = readState(run, newest)
  using dataset = openDataset(data ?? settings.data)
  return await runIt({ run, settings, config, options, resume: true }, dataset, flags, signal)
}

function readState(run: RunFolder, step: number): RunState {
  using checkpoint = new Checkpoint(run.checkpoints, step)
  return checkpoint.state
}

async function runIt(
  setup: Pick<TrainSetup, 'run' | 'settings' | 'config' | 'options' | 'resume'>, dataset: Dataset, flags: Flags, signal: AbortSignal,
): Promise<Done> {
  const { stopAt } = flags
  const executor = executorOf(flags)
  const [learn, validation] = [dataset.split('train'), dataset.split('validation')]
  const data = { train: learn, validation, tokenizer: loadTokenizer(dataset.tokenizerPath), digest: dataset.digest }
  const { state, record } = await train({ ...setup, executor, data, signal, ...stopAt !== undefined && { stopAt } })
  const run = setup.run.path
  if (record !== undefined) return { record, run }
  const again = `${commandName} train --resume ${/^[\w./-]+$/.test(run) ? run : JSON.stringify(run)}`
  if (!signal.aborted) {
    process.stderr.write(`Stopped after step ${state.step} of ${state.options.steps}. Go on with: ${again}\n`)
    return undefined
  }
  throw new VeritError('VERIT_INTERRUPTED', { saved: `step ${state.step} of ${state.options.steps} is saved`, resume: `Go on with: ${again}` })
}

/** The dataset to train on; a text file is prepared first. */
async function datasetFolder(data: string, run: string, characters: boolean, flags: Flags, signal: AbortSignal): Promise<string> {
  if (statSync(data, { throwIfNoEntry: false })?.isDirectory() && existsSync(join(data, 'manifest.json'))) {
    const extra = (['vocabSize', 'tokenizerKind'] as const).find(key => flags[key] !== undefined)
    if (extra === undefined) return data
    const problem = `${kebab(extra)} cannot be given with a dataset: it has its tokenizer already`
    throw new VeritError('VERIT_USAGE', { problem, hint: 'Leave it out, or prepare the text anew' })
  }
  const out = join(run, 'data')
  const specials = characters ? [] : [END_OF_TEXT]
  await prepare([data], { out, force: true, training: { kind: characters ? 'character' : 'bpe', vocabSize: flags.vocabSize ?? 4096, specials }, signal })
  return out
}

function wholeNumber(flag: string, n: number): number {
  if (Number.isSafeInteger(n) && n >= 1) return n
  throw new VeritError('VERIT_TRAIN_OPTION', { option: flag, problem: 'must be a whole number from 1' })
}

function summary({ record, sha256, model, environment }: RecordFile, run: string): string {
  const { validation, step } = record.exported
  const count = (n: number): string => n.toLocaleString('en-US')
  const loss = validation
    ? `held-out loss ${validation.loss.toFixed(4)}, ${validation.bitsPerByte.toFixed(4)} bits a byte, at step ${step}`
    : `nothing held out, step ${step}`
  const { steps } = record.options
  const { fromStep, seconds } = environment
  const time = `${fromStep > 0 ? `the last ${count(steps - fromStep)} ` : ''}in ${formatDuration(seconds)}`
  return `${record.name}: ${count(record.parameters)} parameters, ${count(steps)} steps${fromStep > 0 ? ', ' : ' '}${time}
result   ${loss}
weights  ${record.final.weights}
record   ${join(run, 'record.json')} (${sha256})
curve    ${join(run, 'loss.svg')}
model    ${join(run, model.file)} (${formatBytes(model.bytes)}, ${model.sha256})
Try it: ${commandName} generate ${join(run, model.file)} "Once"
`
}

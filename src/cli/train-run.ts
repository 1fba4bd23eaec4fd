/** Starts and resumes the runs of `verit train`. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { openDataset } from '../data/dataset.ts'
import type { Dataset } from '../data/dataset.ts'
import { prepare } from '../data/prepare.ts'
import { VeritError } from '../lib/errors.ts'
import { isDatasetFolder } from '../lib/run-files.ts'
import { veritCommand } from '../lib/shell-word.ts'
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { END_OF_TEXT } from '../tokenizer/train-tokenizer.ts'
import { Checkpoint } from '../train/checkpoint.ts'
import type { RunStart } from '../train/checkpoint.ts'
import { dryRun } from '../train/dry-run.ts'
import { optionFlag } from '../train/options.ts'
import { modelName, planRun, presetFor } from '../train/plan-run.ts'
import type { RunWishes } from '../train/plan-run.ts'
import type { RecordFile } from '../train/record.ts'
import { OWN_DATA, dataPlace, findData } from '../train/run-data.ts'
import { readRunFile } from '../train/run-file.ts'
import { RunFolder } from '../train/run-folder.ts'
import { readSettings } from '../train/run-settings.ts'
import type { PlannedRun, TrainSetup } from '../train/setup.ts'
import { train } from '../train/train.ts'
import { executorOf } from './compute-options.ts'
import { printNotice } from './text-options.ts'
import { START_FLAGS, TEXT_FLAGS, fieldsOfFlags } from './train-flags.ts'
import type { TrainFlags } from './train-flags.ts'

/** A run that ended: its record, its folder, and a word of its text. */
export type Ended = { record: RecordFile; run: string; word: string } | undefined

/** Tokens and vocabulary that a plan is checked with before its text is prepared. */
const ANY = { vocab: 4096, tokens: 1e6 }

/** A new run. @throws VeritError; nothing is left behind then unless the run began */
export async function startRun(data: string | undefined, flags: TrainFlags, signal: AbortSignal): Promise<Ended> {
  if (data === undefined) {
    const hint = 'Give a text file or a dataset, or --resume with the folder of a run'
    throw new VeritError('VERIT_USAGE', { problem: 'No training data was given', hint })
  }
  if (!existsSync(data)) throw new VeritError('VERIT_FILE_NOT_FOUND', { path: data, purpose: 'what to train on' })
  const file = flags.config === undefined ? undefined : readRunFile(flags.config)
  const { preset, depth, kind } = flags
  const wishes: RunWishes = { preset, depth, kind, file, ...fieldsOfFlags(flags) }
  // A wrong option is refused before a text is prepared for it.
  planRun(wishes, flags.vocabSize ?? ANY.vocab, ANY.tokens)
  const keep = wholeNumber('--keep', flags.keep)
  if (flags.saveEvery !== undefined) wholeNumber('--save-every', flags.saveEvery)
  const path = flags.out ?? join('runs', basename(resolve(data)).replace(/\.[^.]+$/, ''))
  using place = flags.dryRun === true ? temporaryPlace() : new RunFolder(path)
  if (place instanceof RunFolder && place.hasBegun) throw new VeritError('VERIT_RUN_EXISTS', { run: path })
  const ready = isDatasetFolder(data)
  const folder = ready ? ownTokenizer(data, flags) : await prepared(data, place.path, wishes, flags, signal)
  using dataset = openDataset(folder)
  const { config, options } = planRun(wishes, dataset.vocabSize, dataset.split('train').length)
  const name = flags.name ?? modelName(config)
  const settings = { ...dataPlace(place.path, folder), name, saveEvery: flags.saveEvery ?? options.evalEvery, keep }
  const plan = { settings, config, options, resume: false }
  if (place instanceof RunFolder) return await runIt({ ...plan, run: place }, dataset, flags, signal)
  return await showPlan({ ...plan, run: place }, 0, dataset, flags, signal)
}

/** A folder for a run that is only planned. */
function temporaryPlace(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'verit-dry-run-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Goes on with a run. */
export async function resumeRun(
  path: string,
  data: string | undefined,
  flags: TrainFlags,
  signal: AbortSignal
): Promise<Ended> {
  const { model, train: training } = fieldsOfFlags(flags)
  const others = START_FLAGS.filter(key => flags[key] !== undefined)
  const [changed] = [...Object.keys(model), ...Object.keys(training), ...others]
  if (changed !== undefined) {
    const problem = `${optionFlag(changed)} cannot be given with --resume: a run keeps the options it was started with`
    throw new VeritError('VERIT_USAGE', { problem, hint: 'Leave it out' })
  }
  const settings = readSettings(path)
  using run = new RunFolder(path)
  const newest = run.steps.at(-1)
  const start = newest === undefined ? settings.start : stateOf(run, newest)
  if (start === undefined) throw new VeritError('VERIT_RESUME', { run: path, problem: 'it has no checkpoint' })
  using dataset = openDataset(data ?? findData(path, settings, start.dataset))
  const place = data === undefined || dataset.digest !== start.dataset ? {} : dataPlace(path, data)
  const { config, options } = start
  const setup = { run, settings: { ...settings, ...place }, config, options, resume: true }
  if (flags.dryRun === true) return await showPlan(setup, newest ?? 0, dataset, flags, signal)
  // From here on, the run refers to the dataset by the path that was given.
  if (data !== undefined) run.saveSettings(setup.settings)
  return await runIt(setup, dataset, flags, signal)
}

function stateOf(run: RunFolder, step: number): RunStart {
  using checkpoint = new Checkpoint(run.checkpoints, step)
  return checkpoint.state
}

type Plan = Pick<PlannedRun, 'run' | 'settings' | 'config' | 'options' | 'resume'>

function setupOf<P extends Plan>(
  plan: P,
  dataset: Dataset,
  flags: TrainFlags,
  signal: AbortSignal
): P & Omit<PlannedRun, keyof Plan> {
  const { stopAt } = flags
  const tokenizer = loadTokenizer(dataset.tokenizerPath)
  const [learn, validation] = [dataset.split('train'), dataset.split('validation')]
  const data = { train: learn, validation, tokenizer, digest: dataset.digest }
  return { ...plan, executor: executorOf(flags), data, signal, ...(stopAt !== undefined && { stopAt }) }
}

async function showPlan(
  plan: Plan,
  from: number,
  dataset: Dataset,
  flags: TrainFlags,
  signal: AbortSignal
): Promise<undefined> {
  const lines = await dryRun(setupOf(plan, dataset, flags, signal), from)
  process.stdout.write(`${lines.join('\n')}\nNothing was trained or written.\n`)
}

async function runIt(
  plan: Plan & Pick<TrainSetup, 'run'>,
  dataset: Dataset,
  flags: TrainFlags,
  signal: AbortSignal
): Promise<Ended> {
  const setup = setupOf(plan, dataset, flags, signal)
  const { state, record } = await train(setup)
  const run = plan.run.path
  if (record !== undefined) return { record, run, word: wordOf(dataset, setup.data.tokenizer) }
  const count = (n: number): string => n.toLocaleString('en-US')
  const step = `step ${count(state.step)} of ${count(state.options.steps)}`
  const again = veritCommand('train --resume', run)
  const resume = `Go on with: ${again}`
  if (signal.aborted) throw new VeritError('VERIT_INTERRUPTED', { saved: `${step} is saved`, resume })
  process.stderr.write(`Stopped after ${step}. ${resume}\n`)
  return undefined
}

/** A word of the text, so that the tokenizer can encode it; "Once" if there is none near its start. */
function wordOf(dataset: Dataset, tokenizer: Tokenizer): string {
  const split = dataset.split('train')
  const ids = new Int32Array(Math.min(200, split.length))
  split.read(0, ids.length, ids)
  return /\p{L}{2,16}/u.exec(tokenizer.decode(ids, { skipSpecial: true }))?.[0] ?? 'Once'
}

/** A dataset brings its tokenizer. */
function ownTokenizer(data: string, flags: TrainFlags): string {
  const extra = TEXT_FLAGS.find(key => flags[key] !== undefined)
  if (extra === undefined) return data
  const problem = `${optionFlag(extra)} cannot be given with a dataset: its text is prepared already`
  throw new VeritError('VERIT_USAGE', { problem, hint: 'Leave it out, or prepare the text anew' })
}

/** Prepares a text into the folder of the run. */
async function prepared(
  data: string,
  run: string,
  wishes: RunWishes,
  flags: TrainFlags,
  signal: AbortSignal
): Promise<string> {
  const out = join(run, OWN_DATA)
  const kind = flags.tokenizerKind ?? (presetFor(wishes)?.characters === true ? 'character' : 'bpe')
  const specials = kind === 'character' ? [] : [END_OF_TEXT]
  await prepare([data], {
    out,
    force: true,
    training: { kind, vocabSize: flags.vocabSize ?? 4096, specials },
    signal,
    separator: flags.separator,
    asText: flags.asText ?? false,
    onNotice: printNotice
  })
  return out
}

function wholeNumber(flag: string, n: number): number {
  if (Number.isSafeInteger(n) && n >= 1) return n
  throw new VeritError('VERIT_TRAIN_OPTION', { option: flag, problem: 'must be a whole number from 1' })
}

/** The progress of a run, read from its folder, also while it trains. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import { RUN_CHECKPOINTS, checkpointSteps, isRunFolder } from '../lib/run-files.ts'
import { parameterCount } from '../model/parameters.ts'
import { Checkpoint } from './checkpoint.ts'
import type { RunStart } from './checkpoint.ts'
import { tokensPerStep } from './forecast.ts'
import type { LossRow } from './loss-plot.ts'
import { RUN_LOG } from './run-folder.ts'
import { parseLog } from './run-log.ts'
import { readSettings } from './run-settings.ts'
import type { RunSettings } from './run-settings.ts'

export interface RunOverview {
  readonly folder: string
  readonly name: string
  readonly start: RunStart
  readonly parameters: number
  /** Optimizer steps that the log has, and all of the run. */
  readonly step: number
  readonly steps: number
  readonly tokens: number
  /** Time of the steps in the log, evaluations not counted. */
  readonly seconds: number
  /** The evaluation with the lowest loss, and the last one. */
  readonly best: Held | undefined
  readonly last: Held | undefined
  readonly rows: readonly LossRow[]
}

export interface Held {
  readonly step: number
  readonly loss: number
  readonly bitsPerByte: number
}

const MOST_BYTES = 1 << 28

/** @throws VeritError VERIT_USAGE for a folder without a run, VERIT_RESUME and others for a damaged one */
export function overviewOf(folder: string): RunOverview {
  const settings = settingsOf(folder)
  const rows = parseLog(readLog(folder))
  const start = settings.start ?? newestState(folder)
  const each = tokensPerStep(start.config, start.options)
  const steps = rows.filter(row => row.loss !== undefined)
  const step = steps.at(-1)?.step ?? 0
  const held = rows.flatMap(heldOf)
  const [first, ...others] = held
  return {
    folder,
    name: settings.name,
    start,
    parameters: parameterCount(start.config),
    step,
    steps: start.options.steps,
    tokens: each * step,
    seconds: steps.reduce((sum, row) => sum + (row.tokensPerSecond ? each / row.tokensPerSecond : 0), 0),
    best: first && others.reduce((b, h) => (h.loss < b.loss ? h : b), first),
    last: held.at(-1),
    rows
  }
}

const heldOf = ({ step, heldOutLoss: loss, bitsPerByte = NaN }: LossRow): Held[] =>
  loss === undefined ? [] : [{ step, loss, bitsPerByte }]

function settingsOf(folder: string): RunSettings {
  if (isRunFolder(folder) && existsSync(join(folder, RUN_LOG))) return readSettings(folder)
  const problem = `${folder} is not the folder of a training run`
  throw new VeritError('VERIT_USAGE', { problem, hint: 'Give folders that verit train made' })
}

function readLog(folder: string): string {
  const path = join(folder, RUN_LOG)
  using file = openRegular(path, 'the log of the run')
  if (file.size <= MOST_BYTES) return file.readAll().toString('utf8')
  throw new VeritError('VERIT_FILE_IO', { path, action: 'read', reason: 'it is larger than 256 MiB' })
}

function newestState(folder: string): RunStart {
  const checkpoints = join(folder, RUN_CHECKPOINTS)
  const newest = checkpointSteps(checkpoints).at(-1)
  if (newest === undefined) throw new VeritError('VERIT_RESUME', { run: folder, problem: 'it has no checkpoint' })
  using checkpoint = new Checkpoint(checkpoints, newest)
  return checkpoint.state
}

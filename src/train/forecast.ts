/** The forecast of a run: the lines before its first step. Sizes are computed; `Pace` measures the time. */
import { statfsSync } from 'node:fs'
import { machineMemory } from '../lib/machine-memory.ts'
import { formatBytes, formatDuration } from '../lib/progress.ts'
import { elementsOf, isTernary, parameterCount, parametersOf } from '../model/parameters.ts'
import type { ModelConfig } from '../model/config.ts'
import type { TrainOptions } from './options.ts'
import type { MeasuredPace } from './pace.ts'
import type { PlannedRun } from './setup.ts'

/** Bytes of a process that has loaded Verit and no model. */
const PROCESS_BYTES = 120e6

const count = (n: number): string => n.toLocaleString('en-US')
const plural = (n: number, one: string): string => `${count(n)} ${one}${n === 1 ? '' : 's'}`

export const tokensPerStep = (config: ModelConfig, { batch, microBatches }: TrainOptions): number =>
  batch * microBatches * config.context

/** Bytes of a checkpoint: weights and two moments, in f32. */
export const checkpointBytes = (config: ModelConfig): number => 12 * parameterCount(config)

/** Bytes of the model file, without its tokenizer: two bits a ternary weight, four bytes any other. */
export function modelBytes(config: ModelConfig): number {
  return parametersOf(config).reduce((sum, p) => sum + elementsOf(p) * (isTernary(p) ? 0.25 : 4), 0)
}

export interface Forecast {
  readonly setup: PlannedRun
  /** Step at which this process takes up the run. */
  readonly from: number
  /** Bytes of its vectors and plans. */
  readonly bytes: number
}

/** Lines for a person: model, data, run, machine, memory and disk. */
export function forecastLines({ setup, from, bytes }: Forecast): string[] {
  const { config, data, executor } = setup
  const held = data.validation.length > 1 ? `${count(data.validation.length)} held out` : 'none held out'
  return [
    `model    ${modelLine(config)}`,
    `data     ${count(data.train.length)} tokens to train on, ${held}`,
    `run      ${runLine(setup, from)}`,
    `machine  ${executor.name}, ${plural(executor.threads, 'thread')}`,
    `memory   about ${formatBytes(PROCESS_BYTES + bytes)}${memoryWarning(bytes)}`,
    `disk     ${diskLine(setup)}`
  ]
}

function modelLine(config: ModelConfig): string {
  const shape = `${plural(config.layers, 'layer')}, ${plural(config.heads, 'head')}, width ${count(config.hidden)}`
  const sizes = `context ${count(config.context)}, vocabulary ${count(config.vocab)}`
  return `${config.kind}, ${shape}, ${sizes}: ${count(parameterCount(config))} parameters`
}

function runLine({ config, options, data, stopAt }: PlannedRun, from: number): string {
  const each = tokensPerStep(config, options)
  const tokens = options.steps * each
  const passes = (tokens / data.train.length).toPrecision(2)
  const micro = options.microBatches === 1 ? '' : ` in ${options.microBatches} micro-batches`
  const stop = stopAt === undefined || stopAt >= options.steps ? '' : `, stopping after step ${count(stopAt)}`
  const resumed = from === 0 ? '' : `; ${plural(from, 'step')} done`
  return (
    `${plural(options.steps, 'step')} of ${count(each)} tokens${micro}: ${count(tokens)} tokens, ` +
    `${count(Number(passes))} passes over the data${resumed}${stop}`
  )
}

function memoryWarning(bytes: number): string {
  const all = machineMemory()
  return PROCESS_BYTES + bytes > all ? `, more than the ${formatBytes(all)} of this machine` : ''
}

function diskLine({ config, settings, run }: PlannedRun): string {
  const one = checkpointBytes(config)
  // The newest, the best, and the one that is being written.
  const all = one * (settings.keep + 2) + modelBytes(config)
  const free = freeBytes(run.path)
  const short = free !== undefined && free < all ? `, more than the ${formatBytes(free)} that are free` : ''
  return (
    `about ${formatBytes(all)} at most${short}: checkpoints of ${formatBytes(one)}, ` +
    `a model file of ${formatBytes(modelBytes(config))}`
  )
}

function freeBytes(path: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return undefined
  }
}

/** The line that follows once some steps were measured. */
export function timeLine({ setup, from }: Forecast, { seconds, steps }: MeasuredPace): string {
  const { config, options, data, stopAt } = setup
  const last = Math.min(options.steps, stopAt ?? Infinity)
  const evaluations = data.validation.length > 1 ? Math.ceil((last - from) / options.evalEvery) : 0
  const evaluated = Math.min(options.evalTokens || Infinity, data.validation.length)
  // An evaluation runs the forward pass alone: about a third of the work of a training step.
  const perToken = seconds / tokensPerStep(config, options) / 3
  const whole = (last - from) * seconds + evaluations * evaluated * perToken
  const each = seconds < 1 ? `${(1000 * seconds).toPrecision(3)} ms` : `${seconds.toPrecision(3)} s`
  const measured = steps === 0 ? 'a part of the first step' : plural(steps, 'step')
  const left = plural(last - from, 'step')
  return `time     about ${formatDuration(whole)} for ${left}: ${each} each, measured over ${measured}`
}

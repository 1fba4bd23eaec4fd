/**
 * The options of a training run that decide its result, checked and complete. They are part of the training record;
 * what cannot change a bit of the result (threads, folders, how often the bar moves) is not here.
 */
import { VeritError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import type { ScheduleOptions } from './schedule.ts'

export interface TrainOptions extends ScheduleOptions {
  /** Sequences of `context` tokens in a micro-batch. */
  readonly batch: number
  /** Micro-batches whose gradients are averaged for one step. */
  readonly microBatches: number
  readonly beta1: number
  readonly beta2: number
  /** Added to the root of the second moment. */
  readonly eps: number
  /** Largest global norm of the gradient; 0 does not clip. */
  readonly clip: number
  /** 0 to 2^53 - 1. */
  readonly seed: number
  /** Steps between evaluations; the last step is always evaluated. */
  readonly evalEvery: number
  /** Tokens of held-out data an evaluation reads, rounded up to whole windows; 0 reads all. */
  readonly evalTokens: number
}

const RANGES: Readonly<
  Record<Exclude<keyof TrainOptions, 'schedule'>, { low: number; high: number; whole?: true; above?: true }>
> = {
  steps: { low: 1, high: 2 ** 31, whole: true },
  warmup: { low: 0, high: 2 ** 31, whole: true },
  lr: { low: 0, high: 10, above: true },
  lrFloor: { low: 0, high: 10 },
  weightDecay: { low: 0, high: 10 },
  batch: { low: 1, high: 65536, whole: true },
  microBatches: { low: 1, high: 65536, whole: true },
  beta1: { low: 0, high: 0.99999 },
  beta2: { low: 0, high: 0.9999999 },
  eps: { low: 0, high: 1, above: true },
  clip: { low: 0, high: 1e6 },
  seed: { low: 0, high: Number.MAX_SAFE_INTEGER, whole: true },
  evalEvery: { low: 1, high: 2 ** 31, whole: true },
  evalTokens: { low: 0, high: 2 ** 40, whole: true }
}

/** Every option. */
export const optionNames: readonly string[] = ['schedule', ...Object.keys(RANGES)]

/** The name of an option as typed: 'microBatches' -> '--micro-batches'. */
export const optionFlag = (key: string): string => `--${key.replace(/[A-Z]/g, c => `-${c.toLowerCase()}`)}`

/**
 * Checks options from outside.
 * @param label name of an option in errors. Default: as typed.
 * @throws VeritError VERIT_TRAIN_OPTION naming the first missing, unknown or invalid option
 */
export function parseTrainOptions(source: Readonly<Record<string, unknown>>, label = optionFlag): TrainOptions {
  const fail = (key: string, problem: string): never => {
    throw new VeritError('VERIT_TRAIN_OPTION', { option: label(key), problem })
  }
  for (const key of Object.keys(source)) if (!optionNames.includes(key)) fail(key, `does not exist${suggestion(key)}`)
  const schedule = source['schedule']
  if (schedule !== 'cosine' && schedule !== 'two-stage') return fail('schedule', "must be 'cosine' or 'two-stage'")
  const numbers: Record<string, number> = {}
  for (const [key, { low, high, whole, above }] of Object.entries(RANGES)) {
    const value = source[key]
    if (
      typeof value !== 'number' ||
      !(value >= low && value <= high) ||
      (above && value === low) ||
      (whole && !Number.isInteger(value))
    ) {
      const range = `${low} to ${high.toLocaleString('en-US', { maximumSignificantDigits: 17 })}`
      return fail(key, `must be a ${whole ? 'whole ' : ''}number ${above ? 'above' : 'from'} ${range}`)
    }
    numbers[key] = value
  }
  return { schedule, ...(numbers as Omit<TrainOptions, 'schedule'>) }
}

function suggestion(key: string): string {
  const name = nearest(key, optionNames)
  return name === undefined ? '' : `; perhaps ${name} is meant`
}

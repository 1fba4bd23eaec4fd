/** `run.json`: the settings and the start of a run. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { RUN_SETTINGS } from '../lib/run-files.ts'
import { parseModelConfig } from '../model/config.ts'
import type { RunStart } from './checkpoint.ts'
import { parseTrainOptions } from './options.ts'
import type { DataPlace } from './run-data.ts'

/** The settings of a run that do not change its result, and its start. */
export interface RunSettings extends DataPlace {
  /** Name that the model file carries. */
  readonly name: string
  /** Steps between checkpoints. */
  readonly saveEvery: number
  /** Newest checkpoints to keep, besides the best. */
  readonly keep: number
  /** Lets a run without a checkpoint be resumed. Absent in runs of earlier versions. */
  readonly start?: RunStart
}

/**
 * Reads how a run was started.
 * @throws VeritError VERIT_RESUME for a damaged file, VERIT_FILE_NOT_FOUND; VERIT_MODEL_CONFIG, VERIT_TRAIN_OPTION
 */
export function readSettings(path: string): RunSettings {
  const file = join(path, RUN_SETTINGS)
  let value: Partial<Record<keyof RunSettings, unknown>>
  try {
    value = (JSON.parse(readFileSync(file, 'utf8')) ?? {}) as typeof value
  } catch (e) {
    const problem = 'run.json is not JSON'
    if (e instanceof SyntaxError) throw new VeritError('VERIT_RESUME', { run: path, problem }, e)
    throw fileError(e, file, 'read', 'the settings of the run to resume')
  }
  const { data, nearby, name, saveEvery, keep, start } = value
  const count = (n: unknown): n is number => Number.isInteger(n) && (n as number) >= 1
  const texts = typeof data === 'string' && typeof name === 'string' && ['string', 'undefined'].includes(typeof nearby)
  if (!texts || !count(saveEvery) || !count(keep)) {
    throw new VeritError('VERIT_RESUME', { run: path, problem: 'run.json is incomplete' })
  }
  const place = { data, ...(typeof nearby === 'string' && { nearby }) }
  return { ...place, name, saveEvery, keep, ...(start !== undefined && { start: parseStart(path, start) }) }
}

function parseStart(run: string, value: unknown): RunStart {
  const { config, options, dataset, tokenizer } = (value ?? {}) as Partial<Record<keyof RunStart, unknown>>
  if (typeof options !== 'object' || typeof dataset !== 'string' || typeof tokenizer !== 'string') {
    throw new VeritError('VERIT_RESUME', { run, problem: 'run.json is incomplete' })
  }
  return { config: parseModelConfig(config), options: parseTrainOptions({ ...options }), dataset, tokenizer }
}

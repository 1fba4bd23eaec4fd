/**
 * From what a user says to a complete run: defaults, then a preset or the one dial, then a configuration file, then single options, each layer over
 * the one before it.
 */
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { ModelConfig } from '../model/config.ts'
import { parameterCount } from '../model/parameters.ts'
import { modelOfDepth, modelOfPreset } from '../model/presets.ts'
import { parseTrainOptions } from './options.ts'
import type { TrainOptions } from './options.ts'
import { optionsOfDepth, trainDefaults, trainPresets } from './presets.ts'
import type { TrainPreset, TrainPresetName } from './presets.ts'

type Fields = Readonly<Record<string, unknown>>

export interface RunWishes {
  /** A name of `trainPresets`. */
  preset?: string | undefined
  /** The one dial, instead of a preset. */
  depth?: number | undefined
  /** Kind of model for `depth`. Default 'bitnet'. */
  kind?: ModelConfig['kind'] | undefined
  /** From a configuration file. */
  file?: { model: Fields; train: Fields } | undefined
  /** Single fields of the model and of the training. */
  model: Fields
  train: Fields
}

/** The preset of a run that asks for nothing. */
export const DEFAULT_PRESET: TrainPresetName = 'bitnet'

export function presetOf(name: string): TrainPreset {
  if (Object.hasOwn(trainPresets, name)) return trainPresets[name as TrainPresetName]
  const hint = `The presets are ${Object.keys(trainPresets).join(', ')}`
  throw new VeritError('VERIT_USAGE', { problem: `There is no preset ${JSON.stringify(name)}`, hint })
}

/** @param vocab of the tokenizer @param trainTokens of the data */
export function planRun(wishes: RunWishes, vocab: number, trainTokens: number): { config: ModelConfig; options: TrainOptions } {
  const { depth, kind = 'bitnet', file } = wishes
  if (depth !== undefined && wishes.preset !== undefined) {
    throw new VeritError('VERIT_USAGE', { problem: 'Both --preset and --depth were given', hint: 'Give one of them' })
  }
  const model = { ...file?.model, ...wishes.model }
  let options: TrainOptions = trainDefaults
  let config: ModelConfig
  if (depth !== undefined) {
    config = modelOfDepth(kind, depth, vocab, model)
    options = over(options, optionsOfDepth(config, trainTokens))
  } else {
    const preset = presetOf(wishes.preset ?? DEFAULT_PRESET)
    config = modelOfPreset(preset.model, vocab, model)
    options = over(options, preset.options)
  }
  options = over(over(options, file?.train ?? {}), wishes.train)
  return { config, options: parseTrainOptions({ ...options }) }
}

/** Lays fields over options. What is not given follows from what is: the floor is a tenth of the rate, the warm-up at most a twentieth of the steps. */
function over(options: TrainOptions, fields: Fields): TrainOptions {
  const { lr, lrFloor, steps, warmup } = fields
  return {
    ...options,
    ...typeof lr === 'number' && lrFloor === undefined && { lrFloor: lr / 10 },
    ...typeof steps === 'number' && warmup === undefined && { warmup: Math.min(options.warmup, Math.ceil(steps / 20)) },
    ...fields,
  }
}

/** Reads a configuration file: JSON with the objects `model` and `train`, data only. */
export function readRunFile(path: string): { model: Fields; train: Fields } {
  const file = openRegular(path, 'the configuration file')
  const refuse = (problem: string): never => {
    const hint = 'It holds {"model": {...}, "train": {...}}; docs/training.md lists the fields'
    throw new VeritError('VERIT_USAGE', { problem: `${path} ${problem}`, hint })
  }
  try {
    if (file.size > 1 << 20) refuse('is larger than 1 MiB')
    const bytes = file.readAll()
    const value = JSON.parse(bytes.toString('utf8')) as unknown
    const isObject = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v)
    if (!isObject(value) || Object.keys(value).some(k => k !== 'model' && k !== 'train')) return refuse('is not an object of model and train')
    const { model = {}, train = {} } = value
    return isObject(model) && isObject(train) ? { model, train } : refuse('has a model or train that is no object')
  } catch (e) {
    if (e instanceof SyntaxError) return refuse('is not JSON')
    throw e
  } finally {
    file.close()
  }
}

/** A name for a model that was given none: its kind and size, such as "verit-bitnet-3.4m". */
export function modelName(config: ModelConfig): string {
  const n = parameterCount(config)
  return `verit-${config.kind}-${n >= 1e6 ? `${(n / 1e6).toFixed(n >= 1e8 ? 0 : 1)}m` : `${Math.round(n / 1e3)}k`}`
}

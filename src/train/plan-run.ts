/**
 * From user options to a complete run: defaults, then a preset or the dial `depth`, then a configuration file, then
 * single options; each layer overrides the one before. Errors name the invalid option, or the field of the file.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { trainableKinds } from '../model/config.ts'
import type { ModelConfig } from '../model/config.ts'
import { parameterCount } from '../model/parameters.ts'
import { modelOfDepth, modelOfPreset, modelPresets } from '../model/presets.ts'
import { optionFlag, optionNames, parseTrainOptions } from './options.ts'
import type { TrainOptions } from './options.ts'
import { optionsOfDepth, trainDefaults, trainPresets } from './presets.ts'
import type { TrainPreset, TrainPresetName } from './presets.ts'
import type { Fields, RunFile } from './run-file.ts'

/** The options of a run as a user gives them: preset or depth, model fields, training options. */
export interface RunWishes {
  /** A name of `trainPresets`. Default: the preset with the name of the kind. */
  preset?: string | undefined
  /** The one dial, instead of a preset. */
  depth?: number | undefined
  /** Kind of model, one of `trainableKinds`. Default: that of the file, else of the preset, else 'bitnet'. */
  kind?: string | undefined
  /** From a configuration file. */
  file?: RunFile | undefined
  /** Single fields of the model and of the training. */
  model: Fields
  train: Fields
}

const DEFAULT_KIND = 'bitnet'

const isKind = (kind: unknown): kind is string => trainableKinds.includes(kind as string)

/** The preset of a run that names neither preset nor kind. Each kind has a preset of its name. */
export const DEFAULT_PRESET: TrainPresetName = DEFAULT_KIND

/**
 * The preset that a run starts from; undefined with `depth`.
 * @throws VeritError VERIT_USAGE for an unknown preset, one of another kind, or a preset together with `depth`;
 *   VERIT_MODEL_CONFIG
 */
export function presetFor(wishes: RunWishes): TrainPreset | undefined {
  const kind = kindOf(wishes)
  if (wishes.depth !== undefined) {
    if (wishes.preset === undefined) return undefined
    throw new VeritError('VERIT_USAGE', { problem: 'Both --preset and --depth were given', hint: 'Give one of them' })
  }
  const preset = namedPreset(wishes.preset ?? kind ?? DEFAULT_PRESET)
  const own = modelPresets[preset.model].kind
  if (kind === undefined || kind === own) return preset
  const others = presetNames.filter(name => modelPresets[trainPresets[name].model].kind === kind)
  const label = labelOf(wishes, 'model', 'kind')
  throw new VeritError('VERIT_USAGE', {
    problem: `The preset ${wishes.preset} is a ${own} model, and ${label} asks for a ${kind} model`,
    hint: `Leave one of them out, or choose a ${kind} preset: ${others.join(', ')}`
  })
}

const presetNames = Object.keys(trainPresets) as TrainPresetName[]

function namedPreset(name: string): TrainPreset {
  if (Object.hasOwn(trainPresets, name)) return trainPresets[name as TrainPresetName]
  const hint = `The presets are ${presetNames.join(', ')}`
  throw new VeritError('VERIT_USAGE', { problem: `There is no preset ${JSON.stringify(name)}`, hint })
}

function kindOf(wishes: RunWishes): string | undefined {
  const kind = wishes.kind ?? wishes.file?.model['kind']
  if (kind === undefined || isKind(kind)) return kind
  const field = labelOf(wishes, 'model', 'kind')
  throw new VeritError('VERIT_MODEL_CONFIG', {
    field,
    problem: `must be ${trainableKinds.map(kind => `'${kind}'`).join(' or ')}`
  })
}

/** The name of a field in errors: `--lr`, or `train.lr in run.json`. */
function labelOf(wishes: RunWishes, part: 'model' | 'train', key: string): string {
  const flagged = key === 'kind' ? wishes.kind !== undefined : Object.hasOwn(wishes[part], key)
  const { file } = wishes
  if (flagged || file === undefined || !Object.hasOwn(file[part], key)) return optionFlag(key)
  return `${part}.${printable(key, 60)} in ${file.path ?? 'the configuration file'}`
}

/**
 * @param vocab of the tokenizer
 * @param trainTokens of the data
 * @throws VeritError VERIT_USAGE, VERIT_MODEL_CONFIG, VERIT_TRAIN_OPTION
 */
export function planRun(
  wishes: RunWishes,
  vocab: number,
  trainTokens: number
): { config: ModelConfig; options: TrainOptions } {
  const preset = presetFor(wishes)
  const config = modelOf(wishes, preset, vocab)
  const start = preset === undefined ? optionsOfDepth(config, trainTokens) : preset.options
  const options = over(over(over(trainDefaults, start), wishes.file?.train ?? {}), wishes.train)
  return { config, options: parseTrainOptions({ ...options }, key => labelOf(wishes, 'train', key)) }
}

function modelOf(wishes: RunWishes, preset: TrainPreset | undefined, vocab: number): ModelConfig {
  const { kind: _, ...ofFile } = wishes.file?.model ?? {}
  const model = { ...ofFile, ...wishes.model }
  try {
    if (preset !== undefined) return modelOfPreset(preset.model, vocab, model)
    return modelOfDepth(kindOf(wishes) ?? DEFAULT_KIND, wishes.depth!, vocab, model)
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw e
    const { field, problem } = e.fields
    const known = field === 'depth' || Object.hasOwn(model, field)
    throw new VeritError(
      'VERIT_MODEL_CONFIG',
      {
        field: known ? labelOf(wishes, 'model', field) : field,
        problem: problem + elsewhere(field, problem)
      },
      e
    )
  }
}

/** The place of a training option that stands among the fields of the model. */
const elsewhere = (field: string, problem: string): string =>
  problem.includes('is not a field') && optionNames.includes(field) ? '; it belongs under train' : ''

/**
 * Overrides options with fields. Missing ones follow: the floor is a tenth of the learning rate, the warm-up at most a
 * twentieth of the steps.
 */
function over(options: TrainOptions, fields: Fields): TrainOptions {
  const { lr, lrFloor, steps, warmup } = fields
  return {
    ...options,
    ...(typeof lr === 'number' && lrFloor === undefined && { lrFloor: lr / 10 }),
    ...(typeof steps === 'number' &&
      warmup === undefined && { warmup: Math.min(options.warmup, Math.ceil(steps / 20)) }),
    ...fields
  }
}

/** A name for a model that was given none: its kind and size, such as "verit-bitnet-3.4m". */
export function modelName(config: ModelConfig): string {
  const n = parameterCount(config)
  const size = n >= 1e6 ? `${(n / 1e6).toFixed(n >= 1e8 ? 0 : 1)}m` : `${Math.round(n / 1e3)}k`
  return `verit-${config.kind}-${size}`
}

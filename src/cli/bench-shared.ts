/** Shared by the commands that measure: options, the model, formatting of numbers and machines. */
import { existsSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { Option } from 'commander'
import type { Command } from 'commander'
import type { Rate } from '../bench/benchmark.ts'
import { randomWeights } from '../model/random-weights.ts'
import type { Executor } from '../exec/plan.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import { defaultModelPath } from '../lib/default-model.ts'
import { VeritError } from '../lib/errors.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { checkScreened } from '../model/check-screened.ts'
import type { ModelConfig } from '../model/config.ts'
import { loadModel } from '../model/load-gguf.ts'
import { isBlockShape, measuredShapes, modelOfShape } from '../model/measured-shapes.ts'
import type { MeasuredShape } from '../model/measured-shapes.ts'
import { typesOfMix } from '../model/types-of-mix.ts'
import { headOf, servingForm, typesOf } from '../model/weights.ts'
import { isTernaryModel } from '../model/parameters.ts'
import type { FormOptions, PackedWeights } from '../model/weights.ts'
import { chooseTernaryPacking } from '../weights/ternary-packing.ts'
import type { TernaryPacking } from '../weights/ternary-packing.ts'
import { mixNames } from '../weights/type-mix.ts'
import type { MixName } from '../weights/type-mix.ts'
import { SCREENING, coresOption, headScreenOption, setOption, threadsOption } from './compute-options.ts'
import type { ComputeFlags } from './compute-options.ts'
import { lockCommand } from './lock-command.ts'
import { withByteProgress } from './model-shared.ts'
import { openModelFile } from './open-model-file.ts'
import { numberOption } from './prepare.ts'

export interface MachineFlags extends ComputeFlags {
  vocabSize?: number
  json?: true
}

export interface ModelFlags extends MachineFlags {
  model?: string
  shape?: MeasuredShape
  type?: string
  head?: (typeof HEADS)[number]
}

const TYPE = 'with a --shape that is not ternary: weight formats (default: q4_k_m for published shapes)'
const HEAD =
  'with --shape: weight format of the output head and the embedding (default: that of --type, else q6_k if the ' +
  'width is a multiple of 256)'

/** Mixes of weight formats by the names of `--type`. */
const MIXES: ReadonlyMap<string, MixName> = new Map(mixNames.map(name => [name.toLowerCase(), name]))

/** Weight formats of the head and token embedding, by their GGUF names. */
const HEADS = ['q6_k', 'q8_0', 'f16'] as const

export interface MeasuredModel {
  readonly name: string
  readonly config: ModelConfig
  readonly weights: PackedWeights
}

export const machineOptions = (c: Command): Command => reportOptions(threadsOption(c))

/** Those of `machineOptions` without the threads. */
export const reportOptions = (c: Command): Command =>
  setOption(coresOption(c)).option('--json', 'print one JSON object')

export function measuredModelOptions(c: Command): Command {
  c.option(
    '-m, --model <file>',
    'a .gguf file, or the name of a pulled model (default: the model that comes with Verit)'
  )
    .addOption(
      new Option('--shape <name>', 'random weights of this shape, made in memory, instead of a file')
        .choices(measuredShapes)
        .conflicts('model')
    )
    .option('--vocab-size <n>', "with --shape: vocabulary size (default: the shape's, 4096 for presets)", numberOption)
    .addOption(new Option('--type <mix>', TYPE).choices([...MIXES.keys()]))
    .addOption(new Option('--head <type>', HEAD).choices(HEADS))
  return headScreenOption(c)
}

/** The model to measure, to be created or loaded. Dispose of it once it is loaded. */
export interface ModelToMeasure extends Disposable {
  /** @param packing of ternary weights; default: the option, or see `chooseTernaryPacking` */
  load(executor: Executor, packing?: TernaryPacking): Promise<MeasuredModel>
}

/**
 * Opens the file, if it is one. The process is locked before anything of it is read: make the executors that need
 * more than threads, and start other programs, before.
 */
export async function openMeasured(flags: ModelFlags): Promise<ModelToMeasure> {
  const { model, shape, headScreen = 'auto' } = flags
  if (shape !== undefined) {
    return {
      load: (executor, packing = flags.packing) => randomModel(executor, { ...flags, shape }, packing),
      [Symbol.dispose]: () => undefined
    }
  }
  const { vocabSize, type, head } = flags
  const ofShapes = Object.entries({ '--vocab-size': vocabSize, '--type': type, '--head': head })
  const idle = ofShapes.find(([, value]) => value !== undefined)
  if (idle !== undefined) {
    const problem = `${idle[0]} belongs to --shape, which is missing`
    throw new VeritError('VERIT_USAGE', { problem, hint: 'Add --shape, or leave it out: a file has its own' })
  }
  const path = model ?? defaultModelPath()
  if (model === undefined && !existsSync(path)) throw new VeritError('VERIT_NO_MODEL', { path })
  const file = await openModelFile(path, 'a GGUF model')
  lockCommand()
  const screen = SCREENING[headScreen]
  const load = async (executor: Executor, packing = flags.packing): Promise<MeasuredModel> => {
    const gguf = new GgufFile(file)
    const loaded = await withByteProgress('load', onProgress =>
      loadModel(gguf, executor, { packing, screen, onProgress })
    )
    return { name: path, ...loaded }
  }
  return { load, [Symbol.dispose]: () => file.close() }
}

async function randomModel(
  executor: Executor,
  flags: ModelFlags & { shape: MeasuredShape },
  packing: string | undefined
): Promise<MeasuredModel> {
  const { shape, vocabSize, headScreen = 'auto' } = flags
  const screen = SCREENING[headScreen]
  const config = modelOfShape(shape, vocabSize)
  const { type, mix } = randomTypes(config, flags)
  const form = servingForm(config, { type, codes: chooseTernaryPacking(executor, packing), screen })
  if (screen === true) checkScreened(shape, config, form, 'add --head f16')
  const progress = new Progress({ label: 'random weights', format: formatBytes })
  const weights = await randomWeights(executor, config, form, done => progress.update(done))
  progress.clear()
  return { name: `${mix === undefined ? shape : `${shape} ${mix}`} (random weights)`, config, weights }
}

/** The ggml types of a shape's matrices, and their mix, if any. */
function randomTypes(
  config: ModelConfig,
  { shape, type, head }: ModelFlags & { shape: MeasuredShape }
): { type: FormOptions['type']; mix: string | undefined } {
  const six = config.hidden % 256 === 0
  if (head === 'q6_k' && !six) {
    const problem = `The width of ${shape} is ${config.hidden}, and a q6_k head needs a multiple of 256`
    throw new VeritError('VERIT_USAGE', { problem, hint: 'Use --head q8_0 or f16' })
  }
  if (type !== undefined && isTernaryModel(config)) {
    const problem = `The layers of ${shape} are ternary, so --type cannot be ${type}`
    const hint = 'Leave out --type; --head sets the weight format of the output head'
    throw new VeritError('VERIT_USAGE', { problem, hint })
  }
  const mix = type ?? (isBlockShape(shape) ? 'q4_k_m' : undefined)
  if (mix === undefined) return { type: typesOf({ embedding: (head ?? (six ? 'q6_k' : 'f16')).toUpperCase() }), mix }
  const mixed = typesOfMix(config, MIXES.get(mix)!)
  const outer = ['token_embedding', headOf(config)]
  return { type: p => (head !== undefined && outer.includes(p.name) ? head.toUpperCase() : mixed(p)), mix }
}

export const number = (n: number, digits = 0): string =>
  n.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits })
/** A number with about three digits. */
export const rough = (n: number): string => number(n, [100, 10, 1, 0.1].filter(limit => n < limit).length)
export const plural = (n: number, one: string): string => `${number(n)} ${one}${n === 1 ? '' : 's'}`
const processor = cpus()[0]?.model.trim() ?? 'unknown processor' // asked before the process is locked
export const machine = (): string => processor
/** Median, minimum to maximum. */
export const spreadText = ({ median, min, max }: Rate, unit: string): string =>
  `${rough(median)} ${unit} (${rough(min)} to ${rough(max)})`
/** A rate in other units. */
export const times = (factor: number, { median, min, max }: Rate): Rate => ({
  median: factor * median,
  min: factor * min,
  max: factor * max
})

/** Processors that programs kept busy in the last minute, before we began. Of a quiet machine it is below 0.5. */
export const loadBefore = loadavg()[0]!
export const loadWarning =
  loadBefore < 0.5
    ? ''
    : `Other programs kept about ${rough(loadBefore)} processors busy in the minute before this (load average): ` +
      `figures are lower than on a quiet machine, and vary more.\n`

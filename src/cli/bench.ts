/** `verit bench`: how fast a model runs and trains on this machine. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { measureServing, spread } from '../engine/benchmark.ts'
import type { Rate } from '../engine/benchmark.ts'
import { writeRandomModel } from '../engine/random-model.ts'
import { openExecutor } from '../exec/index.ts'
import type { Executor } from '../exec/plan.ts'
import { GgufFile } from '../formats/gguf-reader.ts'
import { defaultModelPath } from '../lib/default-model.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { loadModel } from '../model/load-gguf.ts'
import type { LoadedModel } from '../model/load-gguf.ts'
import { parameterCount } from '../model/parameters.ts'
import { modelOfPreset, modelPresets } from '../model/presets.ts'
import type { ModelPreset } from '../model/presets.ts'
import { measureTraining } from '../train/benchmark.ts'
import { parseTrainOptions } from '../train/options.ts'
import { trainDefaults, trainPresets } from '../train/presets.ts'
import type { TrainPresetName } from '../train/presets.ts'
import { openModelFile } from './open-model-file.ts'
import { numberOption } from './prepare.ts'

interface Flags {
  threads?: number
  instructionSet?: string
  vocabSize?: number
  json?: true
}

const number = (n: number, digits = 0): string => n.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits })
const machine = (): string => cpus()[0]?.model.trim() ?? 'unknown processor'

const shared = (c: Command): Command => c
  .option('--threads <n>', 'threads (default: all processors)', numberOption)
  .option('--instruction-set <name>', 'avx512, avx2, neon, baseline or reference (default: the best here)')
  .option('--json', 'print one JSON object')

export function command(): Command {
  const c = new Command('bench')
    .summary('measure the speed of a model here')
    .description('Measures how fast a model reads prompts and makes tokens here: median, least and most of five samples.')
    .option('-m, --model <file>', 'a .gguf file, or the name of a pulled model (default: the model that comes with Verit)')
    .addOption(new Option('--shape <name>', 'instead: a model of this shape with random weights').choices(Object.keys(modelPresets)).conflicts('model'))
    .option('--vocab-size <n>', 'with --shape: tokens of the vocabulary, from 257 (default: 4096)', numberOption)
  return shared(c).addCommand(train()).addHelpText('after', `
Examples:
  verit bench
  verit bench --shape bitnet-small --threads 2 --json
  verit bench train --preset shakespeare --steps 50`)
    .action(serving)
}

function train(): Command {
  const c = new Command('train')
    .description('Measures training steps of a preset on random tokens.')
    .addOption(new Option('-p, --preset <name>', 'model and options').choices(Object.keys(trainPresets)).default('shakespeare'))
    .option('--steps <n>', 'steps that are timed', numberOption, 50)
    .option('--vocab-size <n>', 'tokens of the vocabulary (default: 65 for the Shakespeare presets, else 4096)', numberOption)
  return shared(c).addHelpText('after', '\nExamples:\n  verit bench train --preset shakespeare --steps 50\n  verit bench train --preset bitnet --threads 4 --json')
    .action((_: object, own: Command) => training(own.optsWithGlobals()))
}

async function serving(flags: Flags & { model?: string; shape?: ModelPreset }): Promise<void> {
  const executor = openExecutor(defined({ threads: flags.threads, instructionSet: flags.instructionSet }))
  const { model, name } = await open(executor, flags)
  const speed = await measureServing(executor, model.config, model.weights)
  const parameters = parameterCount(model.config)
  if (flags.json) {
    return void process.stdout.write(`${printableJson({ model: name, kind: model.config.kind, parameters, executor: executor.name, threads: executor.threads, processor: machine(), ...speed })}\n`)
  }
  const line = (label: string, r: Rate): string => `  ${label.padEnd(34)} ${number(r.median).padStart(9)} tokens/s  (${number(r.min)} to ${number(r.max)})\n`
  process.stdout.write(`${printable(name)}: ${model.config.kind}, ${number(parameters)} parameters; ${executor.name}, threads: ${executor.threads}; ${machine()}\n`
    + line(`read a prompt of ${speed.promptTokens} tokens`, speed.prefill) + line('make tokens', speed.decode) + line(`make tokens, ${speed.batch} answers at once`, speed.batchDecode))
}

async function open(executor: Executor, flags: { model?: string; shape?: ModelPreset; vocabSize?: number }): Promise<{ model: LoadedModel; name: string }> {
  const load = async (path: string): Promise<LoadedModel> => {
    using file = await openModelFile(path, 'a GGUF model')
    return await loadModel(new GgufFile(file), executor)
  }
  if (flags.shape === undefined) {
    const path = flags.model ?? defaultModelPath()
    if (flags.model === undefined && !existsSync(path)) throw new VeritError('VERIT_NO_MODEL', { path })
    return { model: await load(path), name: path }
  }
  const vocab = flags.vocabSize ?? 4096
  if (!(Number.isInteger(vocab) && vocab >= 257)) throw new VeritError('VERIT_USAGE', { problem: `--vocab-size cannot be ${vocab}`, hint: 'Give a whole number from 257' })
  const folder = mkdtempSync(join(tmpdir(), 'verit-bench-'))
  try {
    const path = join(folder, 'random.gguf')
    await writeRandomModel(path, executor, modelOfPreset(flags.shape, vocab))
    return { model: await load(path), name: `${flags.shape} (random weights)` }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function training(flags: Flags & { preset: TrainPresetName; steps: number }): Promise<void> {
  const { preset, steps } = flags
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= 1e6)) throw new VeritError('VERIT_TRAIN_OPTION', { option: '--steps', problem: 'must be a whole number from 1 to 1000000' })
  const executor = openExecutor(defined({ threads: flags.threads, instructionSet: flags.instructionSet }))
  const config = modelOfPreset(trainPresets[preset].model, flags.vocabSize ?? (preset.startsWith('shakespeare') ? 65 : 4096))
  const options = parseTrainOptions({ ...trainDefaults, ...trainPresets[preset].options })
  const progress = new Progress({ label: 'bench', total: steps })
  const speed = await measureTraining(executor, config, options, steps, done => progress.update(done))
  progress.clear()
  const ms = spread(speed.milliseconds)
  const tokensPerSecond = (1000 * speed.tokensPerStep) / ms.median
  const gflops = speed.flopsPerStep / ms.median / 1e6
  const parameters = parameterCount(config)
  if (flags.json) {
    const { tokensPerStep, loss } = speed
    const about = { preset, kind: config.kind, parameters, executor: executor.name, threads: executor.threads, processor: machine() }
    return void process.stdout.write(`${printableJson({ ...about, steps, tokensPerStep, millisecondsPerStep: ms, tokensPerSecond, gflops, loss })}\n`)
  }
  process.stdout.write(`${preset}: ${config.kind}, ${number(parameters)} parameters; ${executor.name}, threads: ${executor.threads}; ${machine()}\n`
    + `  ${number(ms.median, 2)} ms a step of ${number(speed.tokensPerStep)} tokens (${number(ms.min, 2)} to ${number(ms.max, 2)}, ${steps} steps)\n`
    + `  ${number(tokensPerSecond)} tokens/s, ${number(gflops, 1)} GFLOP/s (6 x parameters x tokens)\n`)
}

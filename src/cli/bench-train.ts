/** `verit bench train`: how fast training steps are here. */
import { Command, Option } from 'commander'
import { spread } from '../bench/benchmark.ts'
import { VeritError } from '../lib/errors.ts'
import { printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { parameterCount } from '../model/parameters.ts'
import { modelOfPreset } from '../model/presets.ts'
import { measureTraining } from '../train/benchmark.ts'
import { parseTrainOptions } from '../train/options.ts'
import { trainDefaults, trainPresets } from '../train/presets.ts'
import type { TrainPresetName } from '../train/presets.ts'
import { machine, machineOptions, number } from './bench-shared.ts'
import type { MachineFlags } from './bench-shared.ts'
import { executorOf } from './compute-options.ts'
import { numberOption } from './prepare.ts'

export function benchTrain(): Command {
  const c = new Command('train')
    .description('Measures training steps of a preset on random tokens.')
    .addOption(
      new Option('-p, --preset <name>', 'preset of model and options')
        .choices(Object.keys(trainPresets))
        .default('shakespeare')
    )
    .option('--steps <n>', 'number of measured steps', numberOption, 50)
    .option('--vocab-size <n>', 'vocabulary size (default: 65 for the Shakespeare presets, else 4096)', numberOption)
  return machineOptions(c)
    .addHelpText(
      'after',
      '\nExamples:\n  verit bench train --preset shakespeare --steps 50\n  verit bench train --preset bitnet ' +
        '--threads 4 --json'
    )
    .action((_: object, own: Command) => training(own.optsWithGlobals()))
}

async function training(flags: MachineFlags & { preset: TrainPresetName; steps: number }): Promise<void> {
  const { preset, steps } = flags
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= 1e6))
    throw new VeritError('VERIT_TRAIN_OPTION', {
      option: '--steps',
      problem: 'must be a whole number from 1 to 1000000'
    })
  const executor = executorOf(flags)
  const config = modelOfPreset(
    trainPresets[preset].model,
    flags.vocabSize ?? (preset.startsWith('shakespeare') ? 65 : 4096)
  )
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
    const about = {
      preset,
      kind: config.kind,
      parameters,
      executor: executor.name,
      threads: executor.threads,
      processor: machine()
    }
    return void process.stdout.write(
      `${printableJson({ ...about, steps, tokensPerStep, millisecondsPerStep: ms, tokensPerSecond, gflops, loss })}\n`
    )
  }
  process.stdout.write(
    `${preset}: ${config.kind}, ${number(parameters)} parameters; ${executor.name}, threads: ${executor.threads}; ` +
      `${machine()}\n` +
      `  ${number(ms.median, 2)} ms a step of ${number(speed.tokensPerStep)} tokens (${number(ms.min, 2)} to ` +
      `${number(ms.max, 2)}, ${steps} steps)\n` +
      `  ${number(tokensPerSecond)} tokens/s, ${number(gflops, 1)} GFLOP/s (6 x parameters x tokens)\n`
  )
}

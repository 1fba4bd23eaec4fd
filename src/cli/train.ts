/** `verit train`: a model from a dataset, or from a text file that is prepared first. */
import { Command } from 'commander'
import { trainPresets } from '../train/presets.ts'
import { interruptible } from './interruption.ts'
import { trainOptions } from './train-flags.ts'
import type { TrainFlags } from './train-flags.ts'
import { resumeRun, startRun } from './train-run.ts'
import { trainSummary } from './train-summary.ts'

export function command(): Command {
  const c = new Command('train')
    .summary('train a model from scratch')
    .description(
      'Trains a GPT or a 1.58-bit BitNet from scratch. Writes model.gguf, and record.json with every input of the ' +
        'run. The same data, options and seed give the same bits on every machine. Ctrl-C saves a checkpoint; ' +
        '--resume continues from it to the same bits. Guide: docs/guide/train.md.'
    )
    .argument('[data]', 'a dataset of verit prepare, or a UTF-8 text file or folder (prepared into OUT/data)')
  return trainOptions(c)
    .addHelpText(
      'after',
      `
Presets:
${Object.entries(trainPresets)
  .map(([name, { about }]) => `  ${name.padEnd(20)}${about}`)
  .join('\n')}

Examples:
  verit train book.txt --out runs/book
  verit train shakespeare.txt --preset shakespeare
  verit train data/mine --depth 6 --steps 3000
  verit train data/mine --preset small --dry-run
  verit train --resume runs/book
  verit compare runs/book runs/other`
    )
    .action(run)
}

async function run(data: string | undefined, flags: TrainFlags): Promise<void> {
  const controller = new AbortController()
  const { signal } = controller
  const interrupt = (): void => {
    if (signal.aborted) process.exit(130)
    process.stderr.write('\nFinishing this step and saving; press Ctrl-C again to quit at once.\n')
    controller.abort()
  }
  const start = (): ReturnType<typeof startRun> => startRun(data, flags, signal)
  const resume = (folder: string) => (): ReturnType<typeof startRun> => resumeRun(folder, data, flags, signal)
  const file = await interruptible(interrupt, flags.resume === undefined ? start : resume(flags.resume))
  if (file === undefined) return
  process.stdout.write(flags.json ? `${JSON.stringify(file.record)}\n` : trainSummary(file.record, file.run, file.word))
}

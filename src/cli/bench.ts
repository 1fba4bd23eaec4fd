/** `verit bench`: how fast a model runs and trains on this machine. */
import { Command } from 'commander'
import { measureServing } from '../bench/benchmark.ts'
import type { Rate } from '../bench/benchmark.ts'
import { workloads } from '../bench/workload.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { parameterCount } from '../model/parameters.ts'
import { machine, machineOptions, measuredModelOptions, number, openMeasured } from './bench-shared.ts'
import type { ModelFlags } from './bench-shared.ts'
import { benchTrain } from './bench-train.ts'
import { benchWork } from './bench-work.ts'
import { cacheTypeOption, executorOf, packingOption } from './compute-options.ts'
import type { CacheFlags } from './compute-options.ts'

export function command(): Command {
  const c = machineOptions(
    cacheTypeOption(
      packingOption(
        measuredModelOptions(
          new Command('bench')
            .summary('measure the speed of a model here')
            .description(
              'Measures prompt processing and generation speed of a model: median, minimum and maximum of five ' +
                'samples. decode, prefill and batch measure one kind of work in detail, beside the limits of the ' +
                'machine.'
            )
        )
      )
    )
  )
  for (const workload of workloads) c.addCommand(benchWork(workload))
  return c
    .addCommand(benchTrain())
    .addHelpText(
      'after',
      `
Examples:
  verit bench
  verit bench --shape bitnet-small --threads 2 --json
  verit bench decode --shape bitnet-2b4t
  verit bench train --preset shakespeare --steps 50`
    )
    .action(serving)
}

async function serving(flags: ModelFlags & CacheFlags): Promise<void> {
  const executor = executorOf(flags)
  using model = await openMeasured(flags)
  const { name, config, weights } = await model.load(executor)
  let progress: Progress | undefined
  const speed = await measureServing(executor, config, weights, {
    cacheType: flags.kvCacheType,
    onProgress: (done, total) => (progress ??= new Progress({ label: 'bench', total })).update(done)
  })
  progress?.clear()
  const parameters = parameterCount(config)
  if (flags.json) {
    const { name: executorName, threads } = executor
    const facts = { model: name, kind: config.kind, parameters, executor: executorName, threads, processor: machine() }
    return void process.stdout.write(`${printableJson({ ...facts, ...speed })}\n`)
  }
  const line = (label: string, r: Rate): string =>
    `  ${label.padEnd(34)} ${number(r.median).padStart(9)} tokens/s  (${number(r.min)} to ${number(r.max)})\n`
  process.stdout.write(
    `${printable(name)}: ${config.kind}, ${number(parameters)} parameters; ${executor.name}, threads: ` +
      `${executor.threads}; ${machine()}\n` +
      line(`read a prompt of ${speed.promptTokens} tokens`, speed.prefill) +
      line('make tokens', speed.decode) +
      line(`make tokens, ${speed.batch} answers at once`, speed.batchDecode)
  )
}

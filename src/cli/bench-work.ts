/** `verit bench decode`, `prefill` and `batch`: speed beside the limits of this machine. */
import { Command } from 'commander'
import { measureWork } from '../bench/measure-work.ts'
import type { Measurement } from '../bench/measure-work.ts'
import { workDefaults } from '../bench/workload.ts'
import type { WorkSize, Workload } from '../bench/workload.ts'
import type { Executor } from '../exec/plan.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { parameterCount } from '../model/parameters.ts'
import { headPacking, ternaryPacking } from '../model/weights.ts'
import {
  loadBefore,
  loadWarning,
  machine,
  machineOptions,
  measuredModelOptions,
  number,
  openMeasured,
  rough,
  spreadText,
  times
} from './bench-shared.ts'
import type { MeasuredModel, ModelFlags } from './bench-shared.ts'
import { cacheTypeOption, executorOf, packingOption } from './compute-options.ts'
import type { CacheFlags } from './compute-options.ts'
import { BusyProcess } from './busy-process.ts'
import { numberOption } from './prepare.ts'

type Flags = ModelFlags &
  CacheFlags & { tokens?: number; sequences?: number; top?: number; context?: number; underLoad?: true }

const DESCRIPTIONS: Readonly<Record<Workload, string>> = {
  decode: 'Measures generation for one sequence.',
  prefill: 'Measures prompt processing.',
  batch: 'Measures making tokens for several sequences at once, and for one of them alone.'
}

export function benchWork(workload: Workload): Command {
  const { tokens, sequences } = workDefaults[workload]
  const c = new Command(workload)
    .description(
      `${DESCRIPTIONS[workload]} Five rounds: median, minimum and maximum. Each round also measures memory ` +
        'bandwidth and int8 peak of this machine with the same threads.'
    )
    .option('--tokens <n>', `tokens per sequence (default: ${tokens}, or the model's context)`, numberOption)
  if (workload === 'batch')
    c.option('--sequences <n>', `number of concurrent sequences (default: ${sequences})`, numberOption)
  c.option(
    '--top <n>',
    'number of largest logits per step (0: all); fewer are faster with output-head screening (default: 40, as in ' +
      'a generation)',
    numberOption
  )
    .option('--context <n>', 'context length of the KV cache (default: the tokens)', numberOption)
    .option('--under-load', 'measure also beside a program that keeps one core busy')
  return machineOptions(cacheTypeOption(packingOption(measuredModelOptions(c))))
    .addHelpText(
      'after',
      `
Examples:
  verit bench ${workload} --shape bitnet-2b4t --threads 2 --json
  verit bench ${workload} --shape llama-1b --type q4_k_m
  verit bench ${workload} --model model.gguf`
    )
    .action((_: object, own: Command) => run(workload, own.optsWithGlobals()))
}

async function run(workload: Workload, flags: Flags): Promise<void> {
  const executor = executorOf(flags)
  await using busy = flags.underLoad === true ? await BusyProcess.start() : undefined
  using opened = await openMeasured(flags)
  const model = await opened.load(executor)
  const size = sizeOf(workload, flags, model)
  let progress: Progress | undefined
  const m = await measureWork(executor, model.config, model.weights, size, {
    context: whole('--context', flags.context, size.tokens, model.config.context),
    cacheType: flags.kvCacheType,
    busy: busy && (() => busy.keepBusy()),
    onProgress: (done, total) => (progress ??= new Progress({ label: `bench ${workload}`, total })).update(done)
  })
  progress?.clear()
  process.stdout.write(
    flags.json ? `${printableJson(asJson(executor, model, size, m))}\n` : asText(executor, model, size, m) + loadWarning
  )
}

function sizeOf(workload: Workload, flags: Flags, { config }: MeasuredModel): WorkSize {
  const { tokens, sequences } = workDefaults[workload]
  return {
    workload,
    tokens: whole('--tokens', flags.tokens, 1, config.context) ?? Math.min(tokens, config.context),
    sequences: whole('--sequences', flags.sequences, 1, 1024) ?? sequences,
    ...(flags.top !== undefined && { top: whole('--top', flags.top, 0, 1024)! })
  }
}

function whole(option: string, value: number | undefined, low: number, high: number): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= low && value <= high)) return value
  throw new VeritError('VERIT_USAGE', {
    problem: `${option} cannot be ${value}`,
    hint: `Give a whole number from ${number(low)} to ${number(high)}`
  })
}

const about = (executor: Executor, { name, config, weights: { form } }: MeasuredModel): Record<string, unknown> => ({
  model: name,
  kind: config.kind,
  parameters: parameterCount(config),
  head: headPacking(config, form).name,
  packing: ternaryPacking(form) ?? null,
  executor: executor.name,
  threads: executor.threads,
  processor: machine(),
  loadBefore
})

function asJson(executor: Executor, model: MeasuredModel, size: WorkSize, m: Measurement): object {
  const { limits, share } = m
  return {
    ...about(executor, model),
    ...size,
    tokensPerSecond: m.tokensPerSecond,
    bytesPerToken: m.bytesPerToken,
    gbPerSecond: times(1e-9, m.bytesPerSecond),
    operationsPerToken: m.operationsPerToken,
    gopPerSecond: times(1e-9, m.operationsPerSecond),
    machine: {
      readBytes: limits.readBytes,
      gbPerSecond: times(1e-9, limits.bytesPerSecond),
      int8GopPerSecond: times(1e-9, limits.operationsPerSecond),
      emptyRunsPerSecond: limits.emptyRunsPerSecond
    },
    steps: m.steps,
    cacheType: m.cacheType,
    share: { bandwidth: share.bandwidth, int8: share.operations, emptyRuns: share.emptyRuns },
    ...(m.alone && { alone: m.alone }),
    ...(m.underLoad && { underLoad: m.underLoad })
  }
}

function asText(
  executor: Executor,
  model: MeasuredModel,
  { workload, tokens, sequences }: WorkSize,
  m: Measurement
): string {
  const {
    config,
    weights: { form }
  } = model
  const { limits, share, alone, underLoad } = m
  const line = (label: string, text: string): string => `  ${label.padEnd(12)} ${text}\n`
  const each = sequences > 1 ? `${number(sequences)} sequences of ` : ''
  const ternary = ternaryPacking(form)
  return (
    `${printable(model.name)}: ${config.kind}, ${number(parameterCount(config))} parameters, head ` +
    `${headPacking(config, form).name}, KV cache ` +
    `${m.cacheType}${ternary !== undefined ? `, ternary weights ${ternary}` : ''}; ${executor.name}, threads: ` +
    `${executor.threads}; ${machine()}\n` +
    `${workload}, ${each}${number(tokens)} tokens\n` +
    line('speed', spreadText(m.tokensPerSecond, 'tokens/s')) +
    line(
      'reads',
      `${rough(m.bytesPerToken / 1e6)} MB a token: ${spreadText(times(1e-9, m.bytesPerSecond), 'GB/s')}, ` +
        `${spreadText(times(100, share.bandwidth), '%')} of memory: ` +
        `${spreadText(times(1e-9, limits.bytesPerSecond), 'GB/s')}`
    ) +
    (m.operationsPerToken > 0
      ? line(
          'computes',
          `${rough(m.operationsPerToken / 1e9)} Gop a token: ` +
            `${spreadText(times(1e-9, m.operationsPerSecond), 'Gop/s')}, ` +
            `${spreadText(times(100, share.operations), '%')} of int8: ` +
            `${spreadText(times(1e-9, limits.operationsPerSecond), 'Gop/s')}`
        )
      : '') +
    line(
      'steps',
      `${number(m.steps)} a run; as many that do nothing take ${spreadText(times(100, share.emptyRuns), '%')} of ` +
        `its time: ${spreadText(limits.emptyRunsPerSecond, 'runs/s')}`
    ) +
    (alone
      ? line(
          'one alone',
          `${spreadText(alone.tokensPerSecond, 'tokens/s')}; all together ${spreadText(alone.times, 'times')} as fast`
        )
      : '') +
    (underLoad
      ? line(
          'under load',
          `${spreadText(underLoad.tokensPerSecond, 'tokens/s')}, ${spreadText(times(100, underLoad.share), '%')} ` +
            'of the undisturbed speed'
        )
      : '')
  )
}

/** `verit tune`: which instruction set, number of threads and packing of ternary weights are fastest here, and why. */
import { Command } from 'commander'
import { REQUEST, sameKernels, tune } from '../bench/tune.ts'
import type { Kernels, Trial, Tuning } from '../bench/tune.ts'
import { instructionSets } from '../exec/index.ts'
import { processors } from '../exec/processors.ts'
import type { Processors } from '../exec/processors.ts'
import { commandName } from '../lib/command-name.ts'
import { usableCores } from '../lib/cores.ts'
import { defined } from '../lib/defined.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import {
  loadBefore,
  loadWarning,
  machine,
  measuredModelOptions,
  number,
  openMeasured,
  plural,
  reportOptions,
  rough
} from './bench-shared.ts'
import type { MeasuredModel, ModelFlags } from './bench-shared.ts'
import { executorOf } from './compute-options.ts'

export function command(): Command {
  const c = new Command('tune')
    .summary('find the fastest settings for this machine')
    .description(
      'Measures instruction sets, numbers of threads and, for ternary weights, packings, and recommends settings. ' +
        'Verit chooses them automatically; this checks the choice. Results do not depend on them.'
    )
  return reportOptions(measuredModelOptions(c))
    .addHelpText(
      'after',
      `
Examples:
  verit tune
  verit tune --model model.gguf
  verit tune --shape bitnet-2b4t --json
  verit tune --shape llama-1b --type q4_k_m
  verit tune --cores 0-3                (with threads that are tied to these)`
    )
    .action(run)
}

async function run(flags: ModelFlags): Promise<void> {
  const { cores } = flags
  const instructionSet = flags.instructionSet === 'auto' ? undefined : flags.instructionSet
  let trials = 0 // fewer once the slow ones are dropped
  const progress = new Progress({ label: 'tune', format: n => `${number(n)} of ${number(trials)} trials` })
  let name = ''
  const found = processors()
  const named = cores ?? process.env.VERIT_CORES
  const tied = named === undefined ? 0 : usableCores(named).length
  const here: Processors = tied === 0 ? found : { ...found, logical: tied, physical: tied, threads: tied }
  // The process is locked once the file is open, and the default number of threads is in files.
  const usual = executorOf(defined({ cores, instructionSet })).threads
  using opened = await openMeasured(flags)
  const tuning = await tune({
    machine: here,
    instructionSets:
      instructionSet === undefined ? instructionSets().filter(set => set !== 'reference') : [instructionSet],
    executor: chosen => executorOf(defined({ cores, instructionSet, threads: usual, ...chosen })),
    model: async (executor, packing) => {
      const model: MeasuredModel = await opened.load(executor, packing)
      name = model.name
      return model
    },
    onProgress: (done, of) => {
      trials = of
      progress.update(done)
    }
  })
  progress.clear()
  const settings = settingsOf(tuning, { cores, instructionSet })
  const about = { model: name, processor: machine(), machine: found, loadBefore }
  process.stdout.write(
    flags.json
      ? `${printableJson({ ...about, request: REQUEST, ...tuning, ...settings, why: why(tuning) })}\n`
      : asText(name, found, tuning, settings) +
          loadWarning +
          (settings.automatic || loadWarning === ''
            ? ''
            : 'Measure again on a quiet machine before you write that down.\n')
  )
}

interface Settings {
  /** Whether the automatic choice was the best. */
  automatic: boolean
  /** Options or settings to use otherwise. */
  options: string[]
  /** The same as lines of the configuration of `verit serve`. */
  configuration: string[]
}

function settingsOf(
  { best, usual }: Tuning,
  { cores, instructionSet }: { cores: string | undefined; instructionSet: string | undefined }
): Settings {
  const chosen: [string, string | number][] = []
  if (best.threads !== usual.threads) chosen.push(['threads', best.threads])
  if (best.packing !== null && best.packing !== usual.packing) chosen.push(['packing', best.packing])
  if (best.instructionSet !== usual.instructionSet || instructionSet !== undefined)
    chosen.push(['instruction_set', best.instructionSet])
  if (cores !== undefined) chosen.push(['cores', cores])
  return {
    automatic: chosen.length === 0,
    options: chosen.flatMap(([name, value]) => [`--${name.replace('_', '-')}`, String(value)]),
    configuration:
      chosen.length === 0 ? [] : ['[inference]', ...chosen.map(([name, value]) => `${name} = ${JSON.stringify(value)}`)]
  }
}

const seconds = (t: Trial): string => `${rough(t.seconds)} s`
const threadsOf = (t: Pick<Trial, 'threads'>): string => plural(t.threads, 'thread')
const percent = (a: Trial, b: Trial): string => `${number((100 * (b.seconds - a.seconds)) / a.seconds)} %`
const longer = (best: Trial, t: Trial): string =>
  t.seconds >= best.seconds ? `${percent(best, t)} more` : 'a difference that is noise'
const list = (items: readonly string[]): string =>
  items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)!}`

/** One sentence for each choice. */
function why({ kernels, dropped, threads, best, usual }: Tuning): string[] {
  const sentences: string[] = []
  const named = (k: Kernels): string =>
    best.packing === k.packing && [...kernels, ...dropped].every(t => t.packing === k.packing)
      ? k.instructionSet
      : `${k.instructionSet} and ${k.packing} packing`
  if (dropped.length > 0)
    sentences.push(
      'A first look showed that a request takes at least ' +
        `${list(dropped.map(d => `${rough(d.times)} times as long with ${named(d)}`))} as with the fastest.`
    )
  const same = kernels.find(t => sameKernels(t, best))
  if (same !== undefined) {
    const others = kernels.filter(t => t !== same).map(t => `${seconds(t)} with ${named(t)} (${longer(same, t)})`)
    sentences.push(
      `A request of ${REQUEST.prompt} tokens and an answer of ${REQUEST.answer} takes ${seconds(same)} with ` +
        `${named(same)} on ${threadsOf(same)}, ${list(others)}.`
    )
  } else if (dropped.length > 0) sentences.push(`That leaves ${named(best)}.`)
  const slower = threads
    .filter(t => t.threads !== best.threads)
    .map(t => `${seconds(t)} on ${threadsOf(t)} (${longer(best, t)})`)
  sentences.push(
    `${same === undefined ? `A request of ${REQUEST.prompt} tokens and an answer of ${REQUEST.answer}` : 'It'} ` +
      `takes ${seconds(best)} on ` +
      `${threadsOf(best)}${slower.length === 0 ? ': there is no other number to try' : `, ${list(slower)}`}.`
  )
  if (best.threads !== usual.threads) sentences.push(`Verit takes ${threadsOf(usual)} by itself.`)
  const packing = usual.packing === null ? '' : ` and ${usual.packing} packing`
  if (!sameKernels(best, usual)) sentences.push(`Verit takes ${usual.instructionSet}${packing} by itself.`)
  return sentences
}

function asText(
  name: string,
  here: Processors,
  tuning: Tuning,
  { automatic, options, configuration }: Settings
): string {
  const { kernels, threads, best } = tuning
  const row = (label: string, t: Trial): string =>
    `  ${label.padEnd(18)} ${rough(t.decode).padStart(8)} ${rough(t.prefill).padStart(8)} ${seconds(t).padStart(10)}\n`
  const quota = here.quota === undefined ? '' : `, of whose time a control group leaves ${rough(here.quota)}`
  return (
    `${printable(name)}; ${machine()}: ${plural(here.physical, 'core')}, ` +
    `${plural(here.logical, 'hardware thread')}${quota}\n` +
    `  ${''.padEnd(18)} ${'answer'.padStart(8)} ${'prompt'.padStart(8)} ${'request'.padStart(10)}    (tokens/s, ` +
    `tokens/s, ${REQUEST.prompt} + ${REQUEST.answer} tokens)\n` +
    kernels.map(t => row(t.packing === null ? t.instructionSet : `${t.instructionSet}, ${t.packing}`, t)).join('') +
    threads.map(t => row(threadsOf(t), t)).join('') +
    why(tuning)
      .map(sentence => `${sentence}\n`)
      .join('') +
    (automatic
      ? `Verit takes ${threadsOf(best)} and these kernels by itself: no option is needed.\n`
      : `Take: ${[commandName, 'serve', ...options].join(' ')}    (chat, generate and eval take the same options)\n` +
        `or in the configuration of ${commandName} serve:\n${configuration.map(line => `  ${line}\n`).join('')}`)
  )
}

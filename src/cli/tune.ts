/** `verit tune`: which number of threads and packing of ternary weights is fastest here, and why. */
import { Command } from 'commander'
import { REQUEST, tune } from '../engine/tune.ts'
import type { Trial, Tuning } from '../engine/tune.ts'
import { processors } from '../exec/processors.ts'
import type { Processors } from '../exec/processors.ts'
import { commandName } from '../lib/command-name.ts'
import { defined } from '../lib/defined.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { loadBefore, loadWarning, machine, measuredModel, measuredModelOptions, number, plural, reportOptions, rough } from './bench-shared.ts'
import type { MeasuredModel, ModelFlags } from './bench-shared.ts'
import { executorOf } from './compute-options.ts'

export function command(): Command {
  const c = new Command('tune')
    .summary('find the settings that are fastest here')
    .description('Tries packings of ternary weights and numbers of threads, and says which to take and why. Verit chooses both by itself; this shows whether it chose well here. No result depends on them.')
  return reportOptions(measuredModelOptions(c)).addHelpText('after', `
Examples:
  verit tune
  verit tune --model model.gguf
  verit tune --shape bitnet-2b4t --json`)
    .action(run)
}

async function run(flags: ModelFlags): Promise<void> {
  const here = processors(), progress = new Progress({ label: 'tune' })
  let name = ''
  const tuning = await tune({
    machine: here,
    executor: threads => executorOf(defined({ threads, instructionSet: flags.instructionSet })),
    model: async executor => {
      const model: MeasuredModel = await measuredModel(executor, flags)
      name = model.name
      return model
    },
    onProgress: (done, of) => progress.update(done, `of ${number(of)} trials`),
  })
  progress.clear()
  const settings = settingsOf(tuning), about = { model: name, processor: machine(), machine: here, loadBefore }
  process.stdout.write(flags.json
    ? `${printableJson({ ...about, request: REQUEST, ...tuning, automatic: settings.automatic, options: settings.options, environment: settings.environment, why: why(tuning) })}\n`
    : asText(name, here, tuning) + loadWarning)
}

/** What has to be said to commands that run a model, so that they do what was best. */
function settingsOf({ best, usual }: Tuning): { automatic: boolean; options: string[]; environment: Record<string, string> } {
  const options = best.threads === usual.threads ? [] : ['--threads', String(best.threads)]
  const environment = defined({ VERIT_PACKING: best.packing === usual.packing ? undefined : best.packing }) as Record<string, string>
  return { automatic: options.length === 0 && Object.keys(environment).length === 0, options, environment }
}

const seconds = (t: Trial): string => `${rough(t.seconds)} s`
const threadsOf = (t: Pick<Trial, 'threads'>): string => plural(t.threads, 'thread')
const percent = (a: Trial, b: Trial): string => `${number((100 * (b.seconds - a.seconds)) / a.seconds)} %`

/** One sentence for each choice. */
function why({ packings, threads, best, usual }: Tuning): string[] {
  const sentences: string[] = []
  const other = packings.find(t => t.packing !== best.packing), same = packings.find(t => t.packing === best.packing)
  if (same !== undefined && other !== undefined) {
    sentences.push(`With ${same.packing} packing a request of ${REQUEST.prompt} tokens and an answer of ${REQUEST.answer} takes ${seconds(same)} on ${threadsOf(same)}, with ${other.packing} ${seconds(other)}.`)
  }
  const slower = threads.filter(t => t.threads !== best.threads)
  const list = slower.map(t => `${seconds(t)} on ${threadsOf(t)} (${t.seconds >= best.seconds ? `${percent(best, t)} more` : 'a difference that is noise'})`)
  sentences.push(`It takes ${seconds(best)} on ${threadsOf(best)}${list.length === 0 ? ': there is no other number to try' : `, ${list.join(', ')}`}.`)
  if (best.threads !== usual.threads) sentences.push(`Verit takes ${threadsOf(usual)} by itself.`)
  return sentences
}

function asText(name: string, here: Processors, tuning: Tuning): string {
  const { packings, threads, best } = tuning, { automatic, options, environment } = settingsOf(tuning)
  const row = (label: string, t: Trial): string => `  ${label.padEnd(10)} ${rough(t.decode).padStart(8)} ${rough(t.prefill).padStart(8)} ${seconds(t).padStart(10)}\n`
  const quota = here.quota === undefined ? '' : `, of whose time a control group leaves ${rough(here.quota)}`
  const variables = Object.entries(environment).map(([key, value]) => `${key}=${value} `).join('')
  const typed = [commandName, 'serve', ...options].join(' ')
  return `${printable(name)}; ${machine()}: ${plural(here.physical, 'core')}, ${plural(here.logical, 'hardware thread')}${quota}\n`
    + `  ${''.padEnd(10)} ${'answer'.padStart(8)} ${'prompt'.padStart(8)} ${'request'.padStart(10)}    (tokens/s, tokens/s, ${REQUEST.prompt} + ${REQUEST.answer} tokens)\n`
    + packings.map(t => row(t.packing, t)).join('') + threads.map(t => row(threadsOf(t), t)).join('')
    + `${why(tuning).join(' ')}\n`
    + (automatic ? `Verit takes ${threadsOf(best)} and this packing by itself: no option is needed.\n` : `Take: ${variables}${typed}    (chat, generate and eval take the same)\n`)
}

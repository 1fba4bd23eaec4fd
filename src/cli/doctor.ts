/** `verit doctor`: checks a server's machine, configuration, state, keys and audit log, and names remedies. */
import { Command } from 'commander'
import { levels } from '../doctor/finding.ts'
import type { Finding, Level } from '../doctor/finding.ts'
import { examine } from '../doctor/examine.ts'
import { instructionSets } from '../exec/index.ts'
import { resolveModel } from '../hub/resolve-model.ts'
import { defaultModelPath } from '../lib/default-model.ts'
import { printable, printableJson } from '../lib/printable.ts'
import type { ProblemList } from '../lib/problem-list.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { openRegular } from '../lib/regular-file.ts'
import { VERSION } from '../lib/version.ts'
import { defaultStateFolder, namedFolder } from '../store/state-folder.ts'
import { examineModel } from './inspect-strict.ts'

interface Options {
  state: string
  config?: string
  model?: string
  strict?: boolean
  json?: boolean
  quiet?: boolean
}

export function command(): Command {
  return new Command('doctor')
    .summary("find problems and weaknesses of a server's setup, with their fixes")
    .description(
      'Checks this machine, the configuration, state folder, API keys, audit log and dependencies of a server. It ' +
        'changes nothing. Run it as the user and in the environment of the server. The exit status is 1 if it ' +
        'finds a problem.'
    )
    .option('--state <folder>', 'state folder of the server', defaultStateFolder())
    .option('--config <file>', 'TOML file of settings (default: the settings without one)')
    .option(
      '--model <file>',
      'model of the server: a file, or the name of a pulled model (default: the model that comes with Verit)'
    )
    .option('--strict', 'exit with 1 on warnings too')
    .option('--quiet', 'show only notes, warnings and problems')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Levels: ok; note, worth knowing; warning, weakens the server or soon will; problem, it does not work or is open.

Examples:
  verit doctor
  verit doctor --config /etc/verit/verit.toml --state /var/lib/verit --quiet
  verit doctor --model my-model.gguf
  verit doctor --strict --json | jq '.findings[] | select(.level == "problem")'`
    )
    .action(run)
}

async function run({ state, config, model, strict, json, quiet }: Options): Promise<void> {
  let progress: Progress | undefined
  const onDigestProgress = (done: number, total: number): void => {
    progress ??= new Progress({ label: 'check the model', total, format: formatBytes })
    progress.update(done)
    if (done === total) progress.clear()
  }
  const findings = await examine({
    state: namedFolder(state),
    config,
    kernels: instructionSets(),
    model: { ...resolveModel(model ?? defaultModelPath()), onDigestProgress },
    inspect: lookThrough,
    env: process.env,
    now: Date.now()
  })
  progress?.clear()
  const count = (level: Level): number => findings.filter(f => f.level === level).length
  const counts = Object.fromEntries(levels.map(level => [level, count(level)]))
  const shown = findings.filter(f => quiet !== true || f.level !== 'ok')
  if (json === true) process.stdout.write(`${printableJson({ version: VERSION, counts, findings: shown })}\n`)
  else process.stdout.write(text(shown) + summary(count))
  if (count('problem') > 0 || (strict === true && count('warning') > 0)) process.exitCode = 1
}

/** The checks of `verit inspect --strict`. */
async function lookThrough(path: string, found: ProblemList): Promise<void> {
  using source = openRegular(path, 'the model to look through')
  const reading = new Progress({ label: 'look through the model', total: source.size, format: formatBytes })
  await examineModel(source, found, done => reading.update(done))
  reading.clear()
}

const some = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

const summary = (count: (level: Level) => number): string =>
  `\n${some(count('problem'), 'problem')}, ${some(count('warning'), 'warning')}, ${some(count('note'), 'note')}.\n`

const COLUMNS = 80
const INDENT = 10

function text(findings: readonly Finding[]): string {
  return findings
    .map(
      ({ level, says, fix }) =>
        level.padEnd(INDENT) +
        lines(`${printable(says)}.`) +
        (fix === undefined ? '' : `${' '.repeat(INDENT)}Mend: ${lines(`${printable(fix)}.`, 6)}`)
    )
    .join('')
}

/**
 * Broken at spaces to fit, each further line indented. @param used columns of the first line that are taken beyond the
 * indent
 */
function lines(sentence: string, used = 0): string {
  const out: string[] = ['']
  for (const word of sentence.split(' ')) {
    const line = out.at(-1)!
    const room = COLUMNS - INDENT - (out.length === 1 ? used : 0)
    if (line !== '' && line.length + 1 + word.length > room) out.push(word)
    else out[out.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return `${out.join(`\n${' '.repeat(INDENT)}`)}\n`
}

/** `verit compare`: training runs as a table and one plot. */
import { existsSync } from 'node:fs'
import { Command } from 'commander'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { formatDuration } from '../lib/progress.ts'
import { openRegular } from '../lib/regular-file.ts'
import { runName } from '../lib/run-files.ts'
import { COMPARE_MARK, comparePlot } from '../train/compare-plot.ts'
import { overviewOf } from '../train/run-overview.ts'
import type { Held, RunOverview } from '../train/run-overview.ts'

interface Flags {
  out: string
  json?: true
}

/** More runs than this share colours. */
const MOST_RUNS = 8

export function command(): Command {
  return new Command('compare')
    .summary('compare training runs')
    .description(
      'Compares training runs, finished or not: prints a table of sizes, steps and held-out losses, and plots the ' +
        'losses. Runs with different tokenizers are plotted in bits per byte.'
    )
    .argument('<run...>', 'folders of training runs')
    .option('-o, --out <file>', 'plot to write (SVG)', 'compare.svg')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  verit compare runs/small runs/large
  verit compare runs/* --out losses.svg
  verit compare runs/a runs/b --json | jq '.runs[].best.loss'`
    )
    .action(compare)
}

function compare(folders: string[], flags: Flags): void {
  if (folders.length > MOST_RUNS) {
    const hint = `Give at most ${MOST_RUNS} folders`
    throw new VeritError('VERIT_USAGE', { problem: `${folders.length} runs do not fit in one picture`, hint })
  }
  checkReplaceable(flags.out)
  const runs = folders.map(overviewOf)
  const unit = same(runs, r => r.start.tokenizer) ? 'loss' : 'bitsPerByte'
  const labels = labelsOf(folders)
  const svg = comparePlot(
    runs.map(({ rows }, i) => ({ label: labels[i]!, rows })),
    unit
  )
  if (svg !== undefined) writeFileAtomic(flags.out, svg)
  const picture = svg === undefined ? undefined : flags.out
  if (flags.json !== true) return void process.stdout.write(asText(runs, labels, unit, picture))
  const reports = runs.map(({ start, ...run }) => ({ ...run, ...start, rows: undefined }))
  process.stdout.write(`${printableJson({ runs: reports, unit, picture })}\n`)
}

/** A picture that this command made is replaced, nothing else. */
function checkReplaceable(path: string): void {
  if (!existsSync(path)) return
  using file = openRegular(path, 'the picture to replace')
  const head = Buffer.alloc(Math.min(file.size, 1 << 16))
  file.read(0, head)
  if (!head.toString('utf8').includes(COMPARE_MARK)) throw new VeritError('VERIT_FILE_EXISTS', { path })
}

const same = <T>(items: readonly T[], of: (item: T) => string): boolean => new Set(items.map(of)).size < 2

/** Names of the folders, or their paths if two names are equal. */
function labelsOf(folders: readonly string[]): string[] {
  const names = folders.map(runName)
  return new Set(names).size === names.length ? names : folders.map(folder => printable(folder, 80))
}

const count = (n: number): string => n.toLocaleString('en-US')

const HEAD = [
  'run',
  'model',
  'parameters',
  'steps',
  'tokens',
  'lr',
  'best held-out',
  'bits/byte',
  'last held-out',
  'time'
] as const

function asText(
  runs: readonly RunOverview[],
  labels: readonly string[],
  unit: string,
  picture: string | undefined
): string {
  const rows = [HEAD, ...runs.map((run, i) => cellsOf(run, labels[i]!))]
  const widths = HEAD.map((_, c) => Math.max(...rows.map(row => row[c]!.length)))
  const table = rows
    .map(
      row =>
        `${row
          .map((cell, c) => cell.padEnd(widths[c]!))
          .join('  ')
          .trimEnd()}\n`
    )
    .join('')
  return table + notes(runs, unit) + (picture === undefined ? '' : `Picture: ${picture}\n`)
}

function cellsOf(run: RunOverview, label: string): string[] {
  const { start, parameters, step, steps, tokens, best, last, seconds } = run
  const held = (h: Held | undefined): string => (h === undefined ? '-' : `${h.loss.toFixed(4)} (step ${count(h.step)})`)
  const bits = best?.bitsPerByte.toFixed(4) ?? '-'
  return [
    label,
    start.config.kind,
    count(parameters),
    `${count(step)}/${count(steps)}`,
    count(tokens),
    String(start.options.lr),
    held(best),
    bits,
    held(last),
    formatDuration(seconds)
  ]
}

function notes(runs: readonly RunOverview[], unit: string): string {
  if (unit !== 'loss') return 'The runs have different tokenizers: compare bits per byte, not losses of tokens.\n'
  if (same(runs, r => r.start.dataset)) return ''
  return 'The runs have different datasets: their held-out texts may differ.\n'
}

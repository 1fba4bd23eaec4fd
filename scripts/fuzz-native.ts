/**
 * Fuzzes the native code that takes plans and data, under AddressSanitizer and UBSan with libFuzzer: `node
 * scripts/fuzz-native.ts --minutes 30`. Builds scripts/fuzz-native.c with clang, starts from the plans of test/cases.ts
 * and what earlier runs found worth keeping (build/fuzz-native/corpus). It fails when no input ran an op to its end on
 * every instruction set, so that no new op is forgotten. A finding ends it with 1 and lies in
 * build/fuzz-native/findings; `node scripts/fuzz-native.ts FILE` runs it again. Status 2: no clang, or wrong use.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { addon } from '../src/exec/native.ts'
import { seeds } from './fuzz-native-seeds.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, 'build/fuzz-native')
/** Seconds of one input, mebibytes of the process, bytes of an input. */
const LIMITS = ['-timeout=5', '-rss_limit_mb=2048', '-max_len=640']

function wrong(text: string): never {
  process.stderr.write(`${text}\n`)
  process.exit(2)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string', default: '1' } }
})
const seconds = Math.round(Number(values.minutes) * 60)
const seed = Number(values.seed)
if (!(seconds > 0) || !(Number.isInteger(seed) && seed > 0))
  wrong('usage: node scripts/fuzz-native.ts [--minutes N] [--seed N] [FILE...]')
const native = addon()
if (native === undefined) wrong('the native kernels are not built: run `npm run native` first')
if (
  spawnSync(process.execPath, [join(root, 'scripts/build-native.mjs'), '--fuzz', '--if-stale'], { stdio: 'inherit' })
    .status !== 0
)
  process.exit(2)

for (const name of ['seeds', 'corpus', 'findings']) mkdirSync(join(folder, name), { recursive: true })
rmSync(join(folder, 'seeds'), { recursive: true })
mkdirSync(join(folder, 'seeds'))
const first = seeds(native.ops)
for (const [i, bytes] of first.entries()) writeFileSync(join(folder, 'seeds', String(i)), bytes)

const work =
  positionals.length > 0
    ? positionals
    : [
        `-max_total_time=${seconds}`,
        `-seed=${seed}`,
        '-print_final_stats=1',
        `-artifact_prefix=${join(folder, 'findings')}/`,
        join(folder, 'corpus'),
        join(folder, 'seeds')
      ]
const began = performance.now()
const fuzzer = spawn(join(folder, 'fuzz-native'), [...LIMITS, ...work], { stdio: ['ignore', 'inherit', 'pipe'] })
const stats = new Map<string, string>()
const compared = new Map<string, number>()
let coverage = ''
for await (const line of createInterface({ input: fuzzer.stderr })) {
  const [, name, value] = /^stat::(\w+): +(\d+)/.exec(line) ?? []
  if (name !== undefined) stats.set(name, value!)
  else if (line.startsWith('compared:'))
    for (const [, op, count] of line.matchAll(/(\w+)=(\d+)/g)) compared.set(op!, Number(count))
  else if (/^#\d+\s+(pulse|INITED|DONE)/.test(line))
    process.stderr.write(`${(coverage = line.trim().replaceAll(/\s+/g, ' '))}\n`)
  else if (!/^#\d|NEW_FUNC|^INFO|# Uses:|recommended dictionary/.test(line)) process.stderr.write(`${line}\n`)
}
const [status] =
  fuzzer.exitCode === null && fuzzer.signalCode === null
    ? ((await once(fuzzer, 'exit')) as [number | null])
    : [fuzzer.exitCode]
if (positionals.length === 0) {
  process.stdout.write(
    `${stats.get('number_of_executed_units') ?? '?'} inputs in ${((performance.now() - began) / 1000).toFixed(0)} ` +
      `s, from ${first.length} plans, seed ${seed}, ` +
      `on ${native.instructionSets.join(', ')}: ${status === 0 ? 'nothing found' : 'a finding, see above'}; ` +
      `${/cov: \d+/.exec(coverage)?.[0] ?? ''}\n`
  )
}
// an op that no input brings to its end is not fuzzed: its seeds are missing or wrong
const missed = native.ops.filter(op => compared.get(op) === 0)
const uncovered = positionals.length === 0 && status === 0 && missed.length > 0
if (uncovered)
  process.stderr.write(`no input ran these ops to the end on every instruction set: ${missed.join(', ')}\n`)
process.exitCode = status === 0 && !uncovered ? 0 : 1

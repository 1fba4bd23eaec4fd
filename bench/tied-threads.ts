/**
 * Whether it helps to tie threads to cores: tokens a second of one answer with tied threads and with threads that the
 * system moves, by turns, with nothing else running and beside programs that keep a core busy each. The ratio is that
 * of neighbouring turns, since a host's speed drifts.
 *
 *     node bench/tied-threads.ts [SHAPE] [CORES] [ROUNDS]
 *
 * Default: bitnet-2b4t, 0-1, 12. With one thread it is tied to the first of the cores.
 */
import { loadavg } from 'node:os'
import { BusyProcess } from '../src/cli/busy-process.ts'
import { spread } from '../src/bench/benchmark.ts'
import { ServingModel } from '../src/engine/serving-model.ts'
import { doWork } from '../src/bench/workload.ts'
import { openExecutor } from '../src/exec/index.ts'
import { usableCores } from '../src/lib/cores.ts'
import { modelOfShape } from '../src/model/measured-shapes.ts'
import type { MeasuredShape } from '../src/model/measured-shapes.ts'
import { randomWeights } from '../src/model/random-weights.ts'
import { servingForm, typesOf } from '../src/model/weights.ts'
import { chooseTernaryPacking } from '../src/weights/ternary-packing.ts'

const [shape = 'bitnet-2b4t', cores = '0-1', rounds = '12'] = process.argv.slice(2)
const SECONDS = 0.3
const TOKENS = 16
const all = usableCores(cores)
const config = modelOfShape(shape as MeasuredShape)
const usual = openExecutor({ threads: 1 })
const weights = await randomWeights(
  usual,
  config,
  servingForm(config, { type: typesOf({ embedding: 'Q6_K' }), codes: chooseTernaryPacking(usual) })
)

async function rate(model: ServingModel): Promise<number> {
  const start = performance.now()
  let done = 0
  while (performance.now() - start < SECONDS * 1000)
    await doWork(model, { workload: 'decode', tokens: TOKENS, sequences: 1 }, n => void (done += n))
  return (done * 1000) / (performance.now() - start)
}

const load = loadavg()[0]!
const text = ({ median, min, max }: ReturnType<typeof spread>, digits: number): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`
for (const used of [all, all.slice(0, 1)]) {
  const open = (tied: boolean): ServingModel =>
    new ServingModel(openExecutor({ threads: used.length, ...(tied && { cores: used.join() }) }), config, weights, {
      slots: 1,
      context: TOKENS
    })
  using tied = open(true)
  using free = open(false)
  for (const busy of [0, 1, all.length]) {
    await using programs = new AsyncDisposableStack()
    for (let i = 0; i < busy; i++) await programs.use(await BusyProcess.start()).keepBusy()
    const with_: number[] = []
    const without: number[] = []
    const ratios: number[] = []
    await rate(tied)
    await rate(free)
    for (let r = 0; r < Number(rounds); r++) {
      const first = r % 2 === 0
      const a = await rate(first ? tied : free)
      const b = await rate(first ? free : tied)
      with_.push(first ? a : b)
      without.push(first ? b : a)
      ratios.push(with_.at(-1)! / without.at(-1)!)
    }
    process.stdout.write(
      `${used.length} threads, ${busy} busy programs: tied ${text(spread(with_), 1)}, free ` +
        `${text(spread(without), 1)} tokens/s, ratio ${text(spread(ratios), 2)}\n`
    )
  }
}
process.stdout.write(`load average before: ${load.toFixed(2)}\n`)

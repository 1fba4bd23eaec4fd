/**
 * This checkout against another one, its kernels built:
 * `node bench/by-turns.ts FOLDER [--shape qwen3-0.6b] [--type q4_k_m] [--workload prefill] [--tokens 512] [--layers 4]
 * [--threads 1] [--instruction-set avx2] [--rounds 9]`.
 * Both run in one process over the same random weights and take turns, so that a busy machine slows both. A round is
 * one prompt or, with `--workload decode`, one token after `--tokens` others. Prints milliseconds of processor time and
 * of wall time, and compares the logits. Weights have to be packed alike in both.
 */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row, ServingModel } from '../src/engine/serving-model.ts'
import { modelOfShape } from '../src/model/measured-shapes.ts'
import type { MeasuredShape } from '../src/model/measured-shapes.ts'
import { typesOfMix } from '../src/model/types-of-mix.ts'
import { servingForm } from '../src/model/weights.ts'
import { randomWeights } from '../src/model/random-weights.ts'
import { mixNames } from '../src/weights/type-mix.ts'

const {
  values: options,
  positionals: [other]
} = parseArgs({
  allowPositionals: true,
  options: {
    shape: { type: 'string', default: 'qwen3-0.6b' },
    type: { type: 'string', default: 'q4_k_m' },
    workload: { type: 'string', default: 'prefill' },
    tokens: { type: 'string', default: '512' },
    layers: { type: 'string', default: '4' },
    threads: { type: 'string', default: '1' },
    'instruction-set': { type: 'string' },
    rounds: { type: 'string', default: '9' }
  }
})
if (other === undefined) throw new Error('Name the folder of the other checkout.')
const tokens = Number(options.tokens)
const set = options['instruction-set']
const decode = options.workload === 'decode'
const mix = mixNames.find(name => name.toLowerCase() === options.type)
if (mix === undefined) throw new Error(`--type cannot be ${options.type}.`)

const config = { ...modelOfShape(options.shape as MeasuredShape), layers: Number(options.layers) }

async function executorOf(checkout: string): Promise<import('../src/exec/plan.ts').Executor> {
  const native = (await import(join(checkout, 'src/exec/native.ts'))) as typeof import('../src/exec/native.ts')
  const executor = native.nativeExecutor({
    threads: Number(options.threads),
    ...(set !== undefined && { instructionSet: set })
  })
  if (!executor) throw new Error(`The native kernels of ${checkout} are not built.`)
  return executor
}

interface Side {
  readonly model: ServingModel
  readonly wall: number[]
  readonly cpu: number[]
}

const folders = [resolve(other), resolve(import.meta.dirname, '..')]
const executors = await Promise.all(folders.map(executorOf))
const weights = await randomWeights(
  executors[0]!,
  config,
  servingForm(config, { type: typesOfMix(config, mix), codes: 'two-bit' })
)

async function sideOf(checkout: string, i: number): Promise<Side> {
  const from = (file: string): Promise<unknown> => import(join(checkout, 'src', file))
  const serving = (await from('engine/serving-model.ts')) as typeof import('../src/engine/serving-model.ts')
  const forms = (await from('model/weights.ts')) as typeof import('../src/model/weights.ts')
  const mixed = (await from('model/types-of-mix.ts')) as typeof import('../src/model/types-of-mix.ts')
  const form = forms.servingForm(config, { type: mixed.typesOfMix(config, mix!), codes: 'two-bit' })
  const model = new serving.ServingModel(executors[i]!, config, { bytes: weights.bytes, form }, { context: tokens + 1 })
  return { model, wall: [], cpu: [] }
}

const sides = await Promise.all(folders.map(sideOf))

const rowAt = (position: number): Row => ({
  id: (position * 31) % config.vocab,
  position,
  slot: 0,
  wanted: position === tokens - 1 || position === tokens
})

/** Runs a prompt. Returns the logits after it. */
async function prompt({ model }: Side): Promise<Float32Array> {
  let logits: Float32Array | undefined
  for (let from = 0; from < tokens; from += model.rows) {
    const rows = Array.from({ length: Math.min(model.rows, tokens - from) }, (_, i) => rowAt(from + i))
    logits = (await model.run(rows))[0]
  }
  return logits!
}

const next = async ({ model }: Side): Promise<Float32Array> => (await model.run([rowAt(tokens)]))[0]!

async function timed(side: Side): Promise<void> {
  const before = process.cpuUsage()
  const start = performance.now()
  await (decode ? next(side) : prompt(side))
  side.wall.push(performance.now() - start)
  const { user, system } = process.cpuUsage(before)
  side.cpu.push((user + system) / 1000)
}

/** A copy: the logits hold until the next run. */
const bits = (logits: Float32Array): Buffer =>
  Buffer.concat([new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength)])
const results = []
for (const side of sides) results.push(Buffer.concat([bits(await prompt(side)), bits(await next(side))]))
for (let round = 0; round < Number(options.rounds); round++) {
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) await timed(side)
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1]!
for (const kind of ['cpu', 'wall'] as const) {
  const [a, b] = [sides[0]![kind], sides[1]![kind]]
  const ratio = median(a.map((ms, i) => ms / b[i]!))
  const both = (of: (list: readonly number[]) => number): string => `${of(a).toFixed(1)} and ${of(b).toFixed(1)}`
  const text = `medians ${both(median)} ms, least ${both(list => Math.min(...list))}`
  process.stdout.write(`${kind.padEnd(5)} ${text}; the other takes ${ratio.toFixed(3)} times as long\n`)
}
process.stdout.write(results[0]!.equals(results[1]!) ? 'The logits are the same.\n' : 'The logits differ.\n')
for (const { model } of sides) model[Symbol.dispose]()

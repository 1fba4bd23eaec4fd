/**
 * Products with block-quantised weights against the machine's limits, some 30 s:
 * `node bench/block-matmul.ts [--instruction-set avx2] [--types Q4_0,Q6_K] [--threads 2] [--rounds 5]`.
 * For each format: bytes of weights read a second at few rows (share of readProbe), operations a second at many rows
 * (share of dotProbe). Probes and products take turns; each figure is the best of its rounds.
 */
import { parseArgs } from 'node:util'
import { MachineLimits } from '../src/exec/machine-limits.ts'
import { nativeExecutor } from '../src/exec/native.ts'
import { PlanBuilder } from '../src/graph/plan-builder.ts'
import { blockFormats, packedBytes, type BlockFormat } from '../src/ops/block-formats.ts'

const { values: options } = parseArgs({
  options: {
    'instruction-set': { type: 'string' },
    types: { type: 'string' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' }
  }
})
const set = options['instruction-set']
const found = nativeExecutor({ threads: Number(options.threads), ...(set !== undefined && { instructionSet: set }) })
if (!found) throw new Error('The native kernels are not built.')
const executor = found
const wanted = options.types?.split(',')
const limits = new MachineLimits(executor, 1)
const K = 4096
const PREFILL_OUTPUTS = 1024
/** More than caches hold. */
const DECODE_BYTES = 96e6
const DECODE = [1, 2, 4, 8]
const PREFILL = [16, 384]

interface Run {
  readonly N: number
  readonly O: number
  /** Runs the product once and keeps the shortest time. */
  once(): Promise<void>
  best: number
}

function prepare(f: BlockFormat, N: number, O: number): Run {
  const builder = new PlanBuilder()
  const q = builder.tensor('q', 'i8', N * K)
  const scale = builder.tensor('scale', 'f32', (N * K) / 32)
  const sum = builder.tensor('sum', 'i32', (N * K) / 16)
  const w = builder.tensor('w', 'u8', packedBytes(f, O, K))
  const y = builder.tensor('y', 'f32', N * O)
  builder.step(`matmul${f.name}`, [q, scale, sum, w], [y], { N, O, K })
  const plan = builder.build()
  const allocate = (b: number): Uint8Array => new Uint8Array(executor.allocate(plan.bufferBytes[b]!))
  const memory = Object.fromEntries(plan.buffers.map((name, b) => [name, allocate(b)]))
  // codes alike, factors finite: what they are does not change the time
  memory['w']!.fill(0x11)
  memory['q']!.fill(1)
  new Float32Array(memory['scale']!.buffer).fill(1)
  new Int32Array(memory['sum']!.buffer).fill(16)
  const loaded = executor.load(plan)
  const run = {
    N,
    O,
    best: Infinity,
    once: async () => {
      const start = performance.now()
      await loaded.run(memory)
      run.best = Math.min(run.best, (performance.now() - start) / 1000)
    }
  }
  return run
}

const share = (value: number, limit: number): string =>
  `${(value / 1e9).toFixed(1)} (${((100 * value) / limit).toFixed(0)} %)`.padEnd(16)

process.stdout.write(
  `${executor.name}, ${options.threads} threads: ` +
    `GB/s (share of read limit) at ${DECODE.join(', ')} rows; ` +
    `Gop/s (share of dot limit) at ${PREFILL.join(', ')} rows\n`
)
for (const f of blockFormats.filter(f => !wanted || wanted.includes(f.name))) {
  const outputs = 16 * Math.ceil(DECODE_BYTES / packedBytes(f, 16, K))
  const decode = DECODE.map(N => prepare(f, N, outputs))
  const prefill = PREFILL.map(N => prepare(f, N, PREFILL_OUTPUTS))
  let read = 0
  let dot = 0
  for (let round = 0; round < Number(options.rounds); round++) {
    read = Math.max(read, await limits.readRate())
    dot = Math.max(dot, await limits.dotRate())
    for (const run of [...decode, ...prefill]) for (let i = 0; i < 5; i++) await run.once()
  }
  const few = decode.map(r => share(packedBytes(f, r.O, K) / r.best, read))
  const many = prefill.map(r => share((2 * r.N * r.O * K) / r.best, dot))
  const all = `of ${(read / 1e9).toFixed(0)} and ${(dot / 1e9).toFixed(0)}`
  process.stdout.write(`${f.name.padEnd(8)}${few.join('')}${many.join('')}${all}\n`)
}
limits[Symbol.dispose]()

/**
 * Products with block-quantised weights against the machine's limits: `node bench/block-matmul.ts [--instruction-set avx2] [--types Q4_0,Q6_K] [--threads 2]`, some 20 s. For each format: bytes
 * of weights read a second at 1, 4 and 8 rows (share of readProbe), operations a second at 512 rows (share of dotProbe). Probes run beside each measurement.
 */
import { parseArgs } from 'node:util'
import { MachineLimits } from '../src/exec/machine-limits.ts'
import { nativeExecutor } from '../src/exec/native.ts'
import type { Executor } from '../src/exec/plan.ts'
import { PlanBuilder } from '../src/graph/plan-builder.ts'
import { blockFormats, packedBytes, type BlockFormat } from '../src/ops/block-formats.ts'

const { values: options } = parseArgs({ options: {
  'instruction-set': { type: 'string', default: '' }, types: { type: 'string' }, threads: { type: 'string', default: '2' }, seconds: { type: 'string', default: '0.3' },
} })
const executor = nativeExecutor({ threads: Number(options.threads), instructionSet: options['instruction-set'] })
if (!executor) throw new Error('the native kernels are not built')
const wanted = options.types?.split(',')
const limits = new MachineLimits(executor, 1)
const K = 4096, DECODE_OUTPUTS = 32768, PREFILL_OUTPUTS = 2048

/** Seconds of the fastest run. */
async function fastest(on: Executor, f: BlockFormat, N: number, O: number): Promise<number> {
  const builder = new PlanBuilder()
  const q = builder.tensor('q', 'i8', N * K), scale = builder.tensor('scale', 'f32', (N * K) / 32), sum = builder.tensor('sum', 'i32', (N * K) / 16)
  const w = builder.tensor('w', 'u8', packedBytes(f, O, K)), y = builder.tensor('y', 'f32', N * O)
  builder.step(`matmul${f.name}`, [q, scale, sum, w], [y], { N, O, K })
  const plan = builder.build()
  const memory = Object.fromEntries(plan.buffers.map((name, b) => [name, new Uint8Array(on.allocate(plan.bufferBytes[b]!))]))
  // codes alike, factors finite: what they are does not change the time
  memory['w']!.fill(0x11)
  memory['q']!.fill(1)
  new Float32Array(memory['scale']!.buffer).fill(1)
  new Int32Array(memory['sum']!.buffer).fill(16)
  const loaded = on.load(plan)
  let best = Infinity
  const end = performance.now() + 1000 * Number(options.seconds)
  do {
    const start = performance.now()
    await loaded.run(memory)
    best = Math.min(best, performance.now() - start)
  } while (performance.now() < end)
  loaded.dispose()
  return best / 1000
}

const share = (value: number, limit: number): string => `${(value / 1e9).toFixed(1)} (${((100 * value) / limit).toFixed(0)} %)`.padEnd(16)

process.stdout.write(`${executor.name}, ${options.threads} threads: GB/s (share of read limit) at 1, 2, 4, 8 rows; Gop/s (share of dot limit) at 16, 512 rows\n`)
for (const f of blockFormats.filter(f => !wanted || wanted.includes(f.name))) {
  const bytes = packedBytes(f, DECODE_OUTPUTS, K)
  let line = f.name.padEnd(8)
  for (const N of [1, 2, 4, 8]) {
    const read = await limits.readRate(), seconds = await fastest(executor, f, N, DECODE_OUTPUTS)
    line += share(bytes / seconds, Math.max(read, await limits.readRate()))
  }
  for (const N of [16, 512]) {
    const dot = await limits.dotRate(), seconds = await fastest(executor, f, N, PREFILL_OUTPUTS)
    line += share((2 * N * PREFILL_OUTPUTS * K) / seconds, Math.max(dot, await limits.dotRate()))
  }
  process.stdout.write(`${line}\n`)
}
limits[Symbol.dispose]()

/**
 * Speed beside the machine's limits. Each round measures memory, dot products, empty steps, the work, and memory again
 * within seconds, so that a share compares like with like: a shared host can change its speed by a third within
 * minutes.
 */
import type { CacheType } from '../arch/architecture.ts'
import type { CacheTypeOption } from '../engine/cache-size.ts'
import { MachineLimits } from '../exec/machine-limits.ts'
import type { Executor } from '../exec/plan.ts'
import type { ModelConfig } from '../model/config.ts'
import type { PackedWeights } from '../model/weights.ts'
import { spread } from './benchmark.ts'
import type { Rate } from './benchmark.ts'
import { ServingModel } from '../engine/serving-model.ts'
import { tokenCost } from './token-cost.ts'
import { bytesPerToken, doWork, runsOf } from './workload.ts'
import type { WorkSize } from './workload.ts'

export interface MeasureOptions {
  /** Rounds. Default 5. */
  readonly rounds?: number
  /** Context of the cache per sequence. Default and minimum: the tokens of the work. */
  readonly context?: number | undefined
  /** Element type of the KV cache. Default 'auto'. */
  readonly cacheType?: CacheTypeOption | undefined
  /** Bytes of a pass over memory; see `MachineLimits`. */
  readonly readBytes?: number
  /** Starts a second program that keeps one core busy, and measures the work beside it too. Disposing ends it. */
  readonly busy?: (() => Promise<AsyncDisposable>) | undefined
  /** Told the tokens done, and of how many. */
  readonly onProgress?: (done: number, of: number) => void
}

export interface Measurement {
  readonly tokensPerSecond: Rate
  /** Minimum to read for one token: weights, head, keys and values. */
  readonly bytesPerToken: number
  readonly bytesPerSecond: Rate
  /** Operations of the int8 products in the layers: two for each weight of a ternary or block-quantised matrix. */
  readonly operationsPerToken: number
  readonly operationsPerSecond: Rate
  /** The machine's limits with the same threads, in the same rounds. */
  readonly limits: {
    readonly readBytes: number
    readonly bytesPerSecond: Rate
    readonly operationsPerSecond: Rate
    readonly emptyRunsPerSecond: Rate
  }
  /** Steps of a run of the model's plan; `emptyRunsPerSecond` are of a plan of as many that do nothing. */
  readonly steps: number
  /** Element type of the KV cache. */
  readonly cacheType: CacheType
  /** Share of each limit, round by round; 1 is all of it. */
  readonly share: { readonly bandwidth: Rate; readonly operations: Rate; readonly emptyRuns: Rate }
  /** For several sequences: one of them alone, and how many times as fast all were. */
  readonly alone?: { readonly tokensPerSecond: Rate; readonly times: Rate }
  /** Beside a busy program: speed, and its share of the undisturbed speed of the same round. */
  readonly underLoad?: { readonly tokensPerSecond: Rate; readonly share: Rate }
}

interface Round {
  readonly read: number
  readonly dots: number
  readonly empty: number
  readonly speed: number
  readonly alone: number
  readonly loaded: number
}

export async function measureWork(
  executor: Executor,
  config: ModelConfig,
  weights: PackedWeights,
  size: WorkSize,
  options: MeasureOptions = {}
): Promise<Measurement> {
  const { rounds = 5, busy, onProgress = () => {} } = options
  using model = new ServingModel(executor, config, weights, {
    slots: size.sequences,
    context: Math.max(size.tokens, options.context ?? 0),
    cacheType: options.cacheType
  })
  using limits = new MachineLimits(executor, model.steps, options.readBytes)
  const several = size.sequences > 1
  const single: WorkSize = { ...size, sequences: 1 }
  const perRound = size.tokens * (size.sequences * (busy === undefined ? 1 : 2) + (several ? 1 : 0))
  let done = 0
  const timed = async (work: WorkSize): Promise<number> => {
    const start = performance.now()
    await doWork(model, work, n => onProgress((done += n), rounds * perRound))
    return (work.tokens * work.sequences * 1000) / (performance.now() - start)
  }
  // First-use costs of cache pages do not belong to the speed.
  await doWork(
    model,
    { ...size, tokens: Math.min(size.tokens, size.workload === 'prefill' ? model.rows : 8) },
    () => {}
  )
  const all: Round[] = []
  while (all.length < rounds) {
    const before = await limits.readRate()
    const dots = await limits.dotRate()
    const empty = await limits.emptyRate()
    const speed = await timed(size)
    const read = (before + (await limits.readRate())) / 2
    const alone = several ? await timed(single) : NaN
    all.push({
      read,
      dots,
      empty,
      speed,
      alone,
      loaded: busy === undefined ? NaN : await beside(busy, () => timed(size))
    })
  }
  const of = (value: (r: Round) => number): Rate => spread(all.map(value))
  const cost = tokenCost(config, weights.form, model.cacheType)
  const bytes = bytesPerToken(cost, size, model.rows)
  const runsPerToken = runsOf(size, model.rows) / (size.tokens * size.sequences)
  return {
    tokensPerSecond: of(r => r.speed),
    bytesPerToken: bytes,
    bytesPerSecond: of(r => r.speed * bytes),
    operationsPerToken: cost.operations,
    operationsPerSecond: of(r => r.speed * cost.operations),
    limits: {
      readBytes: limits.readBytes,
      bytesPerSecond: of(r => r.read),
      operationsPerSecond: of(r => r.dots),
      emptyRunsPerSecond: of(r => r.empty)
    },
    steps: model.steps,
    cacheType: model.cacheType,
    share: {
      bandwidth: of(r => (r.speed * bytes) / r.read),
      operations: of(r => (r.speed * cost.operations) / r.dots),
      emptyRuns: of(r => (r.speed * runsPerToken) / r.empty)
    },
    ...(several && { alone: { tokensPerSecond: of(r => r.alone), times: of(r => r.speed / r.alone) } }),
    ...(busy !== undefined && { underLoad: { tokensPerSecond: of(r => r.loaded), share: of(r => r.loaded / r.speed) } })
  }
}

async function beside(busy: () => Promise<AsyncDisposable>, work: () => Promise<number>): Promise<number> {
  await using _ = await busy()
  return await work()
}

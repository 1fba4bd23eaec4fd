/** Speed of a model on this machine: prompt processing, and generation for one sequence and for several at once. */
import type { CacheType } from '../arch/architecture.ts'
import type { CacheTypeOption } from '../engine/cache-size.ts'
import type { Executor } from '../exec/plan.ts'
import type { ModelConfig } from '../model/config.ts'
import type { PackedWeights } from '../model/weights.ts'
import { requestNumbers } from '../engine/request.ts'
import { ServingModel } from '../engine/serving-model.ts'
import type { Row } from '../engine/serving-model.ts'

/** Tokens a second. */
export interface Rate {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface ServingSpeed {
  /** Element type of the KV cache. */
  readonly cacheType: CacheType
  /** Tokens of the prompt that is read. */
  readonly promptTokens: number
  readonly prefill: Rate
  /** Positions 0 to this one are decoded. */
  readonly decodeTokens: number
  readonly decode: Rate
  /** Sequences of `batchDecode`, whose rate is that of all together. */
  readonly batch: number
  readonly batchDecode: Rate
}

const SAMPLES = 5
const SAMPLE_SECONDS = 0.3
const BATCH = 4

/** Median, minimum and maximum of at least one number. */
export function spread(values: readonly number[]): Rate {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** Five samples of at least 0.3 s after a warm-up, of work on `tokens` tokens. */
async function rate(tokens: number, work: () => Promise<void>, onSample: () => void): Promise<Rate> {
  await work()
  const rates: number[] = []
  while (rates.length < SAMPLES) {
    const start = performance.now()
    let seconds = 0
    let done = 0
    do {
      await work()
      done += tokens
      seconds = (performance.now() - start) / 1000
    } while (seconds < SAMPLE_SECONDS)
    rates.push(done / seconds)
    onSample()
  }
  return spread(rates)
}

export interface ServingMeasureOptions {
  /** Element type of the KV cache. Default 'auto'. */
  readonly cacheType?: CacheTypeOption | undefined
  /** Told samples done, and of how many. */
  readonly onProgress?: (done: number, of: number) => void
}

/** Measures a model; takes about five seconds, more for one that needs longer than 0.3 s for a pass. */
export async function measureServing(
  executor: Executor,
  config: ModelConfig,
  weights: PackedWeights,
  options: ServingMeasureOptions = {}
): Promise<ServingSpeed> {
  const { cacheType, onProgress = () => {} } = options
  using model = new ServingModel(executor, config, weights, { slots: BATCH, cacheType })
  const promptTokens = Math.min(model.rows, model.context)
  const decodeTokens = Math.min(64, model.context)
  const row = (position: number, slot: number, wanted: boolean): Row => ({
    id: (position * 31 + slot) % config.vocab,
    position,
    slot,
    wanted,
    top: requestNumbers.topK.fallback
  })
  const prompt = Array.from({ length: promptTokens }, (_, i) => row(i, 0, i === promptTokens - 1))
  const decode = (sequences: number) => async (): Promise<void> => {
    for (let i = 0; i < decodeTokens; i++)
      await model.run(Array.from({ length: sequences }, (_, slot) => row(i, slot, true)))
  }
  let samples = 0
  const tell = (): void => onProgress(++samples, 3 * SAMPLES)
  return {
    cacheType: model.cacheType,
    promptTokens,
    prefill: await rate(promptTokens, async () => void (await model.run(prompt)), tell),
    decodeTokens,
    decode: await rate(decodeTokens, decode(1), tell),
    batch: BATCH,
    batchDecode: await rate(BATCH * decodeTokens, decode(BATCH), tell)
  }
}

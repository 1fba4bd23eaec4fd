/**
 * The three workloads that a model is measured at. No token is sampled: a run is the plan, from token ids to logits.
 */
import { requestNumbers } from '../engine/request.ts'
import type { Row, ServingModel } from '../engine/serving-model.ts'
import type { TokenCost } from './token-cost.ts'

export const workloads = ['decode', 'prefill', 'batch'] as const
export type Workload = (typeof workloads)[number]

export interface WorkSize {
  readonly workload: Workload
  /** Tokens of each sequence, from position 0. */
  readonly tokens: number
  /** 1 but for 'batch'. */
  readonly sequences: number
  /**
   * Number of largest logits needed per row (0: all); fewer are faster with output-head screening. Default: 40, as in a
   * generation.
   */
  readonly top?: number
}

/** Default tokens and sequences. */
export const workDefaults: Readonly<Record<Workload, { tokens: number; sequences: number }>> = {
  decode: { tokens: 128, sequences: 1 },
  prefill: { tokens: 512, sequences: 1 },
  batch: { tokens: 64, sequences: 8 }
}

/** All rows of a run after the other: of 'prefill' as many in a run as the model takes, else one of each sequence. */
export async function doWork(
  model: ServingModel,
  { workload, tokens, sequences, top = requestNumbers.topK.fallback }: WorkSize,
  onTokens: (done: number) => void
): Promise<void> {
  const row = (position: number, slot: number, wanted: boolean): Row => ({
    id: (position * 31 + slot) % model.config.vocab,
    position,
    slot,
    wanted,
    top
  })
  if (workload === 'prefill') {
    for (let from = 0; from < tokens; from += model.rows) {
      const count = Math.min(model.rows, tokens - from)
      await model.run(Array.from({ length: count }, (_, i) => row(from + i, 0, from + i === tokens - 1)))
      onTokens(count)
    }
    return
  }
  for (let i = 0; i < tokens; i++) {
    await model.run(Array.from({ length: sequences }, (_, slot) => row(i, slot, true)))
    onTokens(sequences)
  }
}

/** Runs of the plan that the work takes. @param rows of a run at most */
export const runsOf = ({ workload, tokens }: WorkSize, rows: number): number =>
  workload === 'prefill' ? Math.ceil(tokens / rows) : tokens

/**
 * Bytes read for each token, on average over the work: weights, head, and the keys and values of earlier positions.
 * Rows of a run choose their experts independently, so that experts count by the expected share that is chosen.
 * @param rows of a run at most
 */
export function bytesPerToken(cost: TokenCost, size: WorkSize, rows: number): number {
  const { layerBytes, expertBytes, expertShare, headBytes, positionBytes } = cost
  const { workload, tokens, sequences } = size
  const layersOf = (count: number): number => layerBytes + expertBytes * (1 - (1 - expertShare) ** count)
  if (workload !== 'prefill') return (layersOf(sequences) + headBytes) / sequences + (positionBytes * (tokens + 1)) / 2
  // Rows of a run share their reads; positions of earlier runs count once per run.
  let bytes = headBytes
  for (let from = 0; from < tokens; from += rows) {
    const to = Math.min(tokens, from + rows)
    bytes += layersOf(to - from) + to * positionBytes
  }
  return bytes / tokens
}

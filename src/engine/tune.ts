/**
 * Finds the number of threads and the packing of ternary weights that are fastest here, by trying. Trials take turns, so that a host whose speed drifts is fair to all of them;
 * what is compared is the time of one usual request, so that neither prompts nor answers are forgotten.
 */
import type { Executor } from '../exec/plan.ts'
import type { Processors } from '../exec/processors.ts'
import type { ModelConfig } from '../model/config.ts'
import type { PackedWeights } from '../model/weights.ts'
import { spread } from './benchmark.ts'
import { ServingModel } from './serving-model.ts'
import { doWork } from './workload.ts'

export interface Trial {
  readonly threads: number
  readonly packing: Executor['ternary']
  /** Tokens a second, medians. */
  readonly decode: number
  readonly prefill: number
  /** Of a request with a prompt of `REQUEST.prompt` tokens and an answer of `REQUEST.answer`, by these rates. */
  readonly seconds: number
}

export interface Tuning {
  /** By packing, with the threads that are usual; one where a model has no ternary weights. */
  readonly packings: readonly Trial[]
  /** By threads, with the packing that was chosen. */
  readonly threads: readonly Trial[]
  /** The best of them. */
  readonly best: Trial
  /** What Verit does by itself. */
  readonly usual: Pick<Trial, 'threads' | 'packing'>
}

export interface TuneInput {
  /** An executor with so many threads; without a number, with as many as are usual. */
  readonly executor: (threads?: number) => Executor
  /** The model, its weights as an executor wants them. Asked for once for each packing. */
  readonly model: (executor: Executor) => Promise<{ config: ModelConfig; weights: PackedWeights }>
  readonly machine: Processors
  /** Told trials done, and of how many. */
  readonly onProgress?: (done: number, of: number) => void
}

export const REQUEST = { prompt: 512, answer: 128 }
/** Differences below this share are taken for noise. */
const NOISE = 0.03
const ROUNDS = 3
const DECODE = 16
const PREFILL = 128
const TRIAL_SECONDS = 0.1

/** 1, 2, 4 … up to the cores, the cores, the hardware threads and what is usual; but no more than a control group leaves. */
export function threadCandidates({ logical, physical, quota, threads }: Processors): number[] {
  const most = Math.max(1, Math.min(1024, Math.ceil(quota ?? Infinity)))
  const counts = [threads, physical, logical]
  for (let n = 1; n < physical; n *= 2) counts.push(n)
  return [...new Set(counts.filter(n => n <= most))].sort((a, b) => a - b)
}

/** The trial with the shortest time; the usual one, or else the fewest threads, where the difference is within noise. */
export function bestOf(trials: readonly Trial[], usual: (t: Trial) => boolean): Trial {
  const least = Math.min(...trials.map(t => t.seconds))
  const near = trials.filter(t => t.seconds <= least * (1 + NOISE))
  return near.find(usual) ?? near.reduce((a, b) => (b.threads < a.threads ? b : a))
}

export async function tune({ executor, model, machine, onProgress = () => {} }: TuneInput): Promise<Tuning> {
  const usual = executor(), first = await model(usual)
  const ternary = first.config.kind === 'bitnet', counts = threadCandidates({ ...machine, threads: usual.threads })
  const trialsInAll = ROUNDS * (counts.length + (ternary ? 2 : 0))
  let done = 0
  const tell = (): void => onProgress(++done, trialsInAll)
  const packed = [{ executor: usual, ...first }]
  if (ternary) {
    const other: Executor = { ...usual, ternary: usual.ternary === 'base3' ? 'two-bit' : 'base3' }
    packed.push({ executor: other, ...await model(other) })
  }
  const packings = ternary ? await trials(packed, tell) : []
  const packing = ternary ? bestOf(packings, t => t.packing === usual.ternary).packing : usual.ternary
  const { config, weights } = packed.find(p => p.executor.ternary === packing)!
  packed.length = 0 // frees the weights of the other packing
  const threads = await trials(counts.map(n => ({ executor: { ...n === usual.threads ? usual : executor(n), ternary: packing }, config, weights })), tell)
  const best = bestOf(threads, t => t.threads === usual.threads)
  return { packings, threads, best, usual: { threads: usual.threads, packing: usual.ternary } }
}

interface Candidate {
  readonly executor: Executor
  readonly config: ModelConfig
  readonly weights: PackedWeights
}

async function trials(candidates: readonly Candidate[], tell: () => void): Promise<Trial[]> {
  const open = candidates.map(({ executor, config, weights }) => {
    const context = Math.min(config.context, PREFILL)
    return { executor, model: new ServingModel(executor, config, weights, { slots: 1, context }), decode: [] as number[], prefill: [] as number[] }
  })
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const { model, decode, prefill } of open) {
        if (round === 0) await doWork(model, { workload: 'decode', tokens: 1, sequences: 1 }, () => {})
        decode.push(await rate(model, 'decode', Math.min(DECODE, model.context)))
        prefill.push(await rate(model, 'prefill', model.context))
        tell()
      }
    }
  } finally {
    for (const { model } of open) model[Symbol.dispose]()
  }
  return open.map(({ executor, ...rates }) => {
    const decode = spread(rates.decode).median, prefill = spread(rates.prefill).median
    return { threads: executor.threads, packing: executor.ternary, decode, prefill, seconds: REQUEST.prompt / prefill + REQUEST.answer / decode }
  })
}

/** Over at least 0.1 s. */
async function rate(model: ServingModel, workload: 'decode' | 'prefill', tokens: number): Promise<number> {
  const start = performance.now()
  let done = 0, seconds = 0
  do {
    await doWork(model, { workload, tokens, sequences: 1 }, n => void (done += n))
    seconds = (performance.now() - start) / 1000
  } while (seconds < TRIAL_SECONDS)
  return done / seconds
}

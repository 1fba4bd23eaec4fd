/**
 * Finds the fastest instruction set, packing of ternary weights and number of threads. A first pass drops clearly
 * slower candidates; the rest take turns, so a drifting host treats all alike. The measure is the time of one typical
 * request, prompt and answer.
 */
import type { Executor } from '../exec/plan.ts'
import type { Processors } from '../exec/processors.ts'
import type { ModelConfig } from '../model/config.ts'
import type { PackedWeights } from '../model/weights.ts'
import { ternaryPacking } from '../model/weights.ts'
import { spread } from './benchmark.ts'
import { ServingModel } from '../engine/serving-model.ts'
import type { TernaryPacking } from '../weights/ternary-packing.ts'
import { doWork } from './workload.ts'

export interface Kernels {
  readonly instructionSet: string
  /** Packing of ternary weights; null for a model without them. */
  readonly packing: TernaryPacking | null
}

export interface Trial extends Kernels {
  readonly threads: number
  /** Tokens a second, medians. */
  readonly decode: number
  readonly prefill: number
  /** Duration of a request of `REQUEST.prompt` prompt tokens and `REQUEST.answer` new ones, by these rates. */
  readonly seconds: number
}

/** Candidates that the first pass found to be slower. */
export interface Dropped extends Kernels {
  /** Ratio to the fastest time of a request, at least. */
  readonly times: number
}

export interface Tuning {
  /** By instruction set and packing, with the threads that are usual, where the first look has left more than one. */
  readonly kernels: readonly Trial[]
  readonly dropped: readonly Dropped[]
  /** By threads, with the kernels that were chosen. */
  readonly threads: readonly Trial[]
  /** The best of them. */
  readonly best: Trial
  /** The automatic choice. */
  readonly usual: Pick<Trial, 'threads' | keyof Kernels>
}

export interface TuneInput {
  /** An executor with these threads and this instruction set; others at their defaults. */
  readonly executor: (options: { threads?: number; instructionSet?: string }) => Executor
  /** Instruction sets to try besides the default. */
  readonly instructionSets: readonly string[]
  /** The model. Called once for each packing of ternary weights; without one: with the usual. */
  readonly model: (
    executor: Executor,
    packing?: TernaryPacking
  ) => Promise<{ config: ModelConfig; weights: PackedWeights }>
  readonly machine: Processors
  /** Least length of a measurement in seconds. Default 0.1. */
  readonly seconds?: number
  /** Told trials done, and of how many, which may become fewer. */
  readonly onProgress?: (done: number, of: number) => void
}

export const REQUEST = { prompt: 512, answer: 128 }
/** Smaller differences count as noise. */
const NOISE = 0.03
const ROUNDS = 3
const DECODE = 16
const PREFILL = 128
/**
 * First pass: runs of a few tokens and a short prompt; the fastest within half a measurement counts, because other
 * programs may interfere. Candidates slower by this ratio are dropped; after the first token alone, which finds cold
 * caches, only those slower by a large ratio.
 */
const LOOK = { decode: 2, prefill: 16, slow: 1.5, first: 4 }

/**
 * 1, 2, 4 … up to the cores, then the cores, the hardware threads and the default; never more than the control group
 * allows.
 */
export function threadCandidates({ logical, physical, quota, threads }: Processors): number[] {
  const most = Math.max(1, Math.min(1024, Math.ceil(quota ?? Infinity)))
  const counts = [threads, physical, logical]
  for (let n = 1; n < physical; n *= 2) counts.push(n)
  return [...new Set(counts.filter(n => n <= most))].sort((a, b) => a - b)
}

/**
 * The trial with the shortest time; the usual one, or else the fewest threads, where the difference is within noise.
 */
export function bestOf(trials: readonly Trial[], usual: (t: Trial) => boolean): Trial {
  const least = Math.min(...trials.map(t => t.seconds))
  const near = trials.filter(t => t.seconds <= least * (1 + NOISE))
  return near.find(usual) ?? near.reduce((a, b) => (b.threads < a.threads ? b : a))
}

/** An executor's instruction set, or 'reference'. */
export const setOf = ({ name }: Pick<Executor, 'name'>): string => name.split(' ').at(-1)!

export async function tune({
  executor,
  instructionSets,
  model,
  machine,
  seconds = 0.1,
  onProgress = () => {}
}: TuneInput): Promise<Tuning> {
  const own = executor({})
  const first = await model(own)
  const packing = ternaryPacking(first.weights.form) ?? null
  const usual = { threads: own.threads, instructionSet: setOf(own), packing }
  const executors = [
    own,
    ...instructionSets.filter(set => set !== usual.instructionSet).map(instructionSet => executor({ instructionSet }))
  ]
  const models = [first]
  if (packing !== null) models.push(await model(own, packing === 'base3' ? 'two-bit' : 'base3'))
  // The default comes first, so slower candidates are recognised early.
  const candidates = executors.flatMap(e =>
    models.map(({ config, weights }): Candidate => ({ executor: e, config, weights }))
  )
  const counts = threadCandidates({ ...machine, threads: usual.threads })

  const measuring = new Measuring(seconds, onProgress, candidates.length + ROUNDS * (candidates.length + counts.length))
  const { left, dropped } = await firstLook(candidates, measuring)
  const rounds = left.length > 1 ? left : []
  measuring.of = candidates.length + ROUNDS * (rounds.length + counts.length)
  const kernels = await trials(rounds, measuring)
  const chosen = rounds.length === 0 ? left[0]! : left[kernels.indexOf(bestOf(kernels, t => sameKernels(t, usual)))]!
  candidates.length = models.length = left.length = rounds.length = 0 // frees the weights of the other packing
  const set = setOf(chosen.executor)
  const threads = await trials(
    counts.map(n => {
      const e = n === usual.threads ? chosen.executor : executor({ threads: n, instructionSet: set })
      return { ...chosen, executor: e }
    }),
    measuring
  )
  return { kernels, dropped, threads, best: bestOf(threads, t => t.threads === usual.threads), usual }
}

export const sameKernels = (a: Kernels, b: Kernels): boolean =>
  a.instructionSet === b.instructionSet && a.packing === b.packing

interface Candidate {
  readonly executor: Executor
  readonly config: ModelConfig
  readonly weights: PackedWeights
}

/** How long to measure, and how far it has come. */
class Measuring {
  readonly seconds: number
  of: number
  #done = 0
  #tell: (done: number, of: number) => void

  constructor(seconds: number, tell: (done: number, of: number) => void, of: number) {
    this.seconds = seconds
    this.of = of
    this.#tell = tell
  }

  next(): void {
    this.#tell(++this.#done, this.of)
  }
}

const kernelsOf = ({ executor, weights }: Candidate): Kernels => ({
  instructionSet: setOf(executor),
  packing: ternaryPacking(weights.form) ?? null
})
const opened = ({ executor, config, weights }: Candidate): ServingModel =>
  new ServingModel(executor, config, weights, { slots: 1, context: Math.min(config.context, PREFILL) })
const requestSeconds = (decode: number, prefill: number): number => REQUEST.answer / decode + REQUEST.prompt / prefill

/**
 * Estimates the seconds of a request from few tokens, and stops as soon as it is clearly slow; the result is then a
 * lower bound.
 * @param fastest so far
 */
async function look(candidate: Candidate, fastest: number, seconds: number): Promise<number> {
  using model = opened(candidate)
  const once = async (workload: 'decode' | 'prefill', tokens: number): Promise<number> => {
    const start = performance.now()
    await doWork(model, { workload, tokens, sequences: 1 }, () => {})
    return (performance.now() - start) / 1000
  }
  /** Tokens a second. */
  const best = async (workload: 'decode' | 'prefill', most: number): Promise<number> => {
    const tokens = Math.min(most, model.context)
    let least = Infinity
    for (let spent = 0, one; spent < seconds; spent += one)
      least = Math.min(least, (one = await once(workload, tokens)))
    return tokens / least
  }
  const first = await once('decode', 1)
  if (first > seconds && first * REQUEST.answer > LOOK.first * fastest) return first * REQUEST.answer
  const decode = await best('decode', LOOK.decode)
  return REQUEST.answer / decode > LOOK.slow * fastest
    ? REQUEST.answer / decode
    : requestSeconds(decode, await best('prefill', LOOK.prefill))
}

async function firstLook(
  candidates: readonly Candidate[],
  measuring: Measuring
): Promise<{ left: Candidate[]; dropped: Dropped[] }> {
  const looks: { candidate: Candidate; seconds: number }[] = []
  for (const candidate of candidates) {
    looks.push({
      candidate,
      seconds: await look(candidate, Math.min(Infinity, ...looks.map(l => l.seconds)), measuring.seconds / 2)
    })
    measuring.next()
  }
  const fastest = Math.min(...looks.map(l => l.seconds))
  const slow = looks.filter(l => l.seconds > LOOK.slow * fastest)
  return {
    left: looks.filter(l => !slow.includes(l)).map(l => l.candidate),
    dropped: slow.map(({ candidate, seconds }) => ({ ...kernelsOf(candidate), times: seconds / fastest }))
  }
}

async function trials(candidates: readonly Candidate[], measuring: Measuring): Promise<Trial[]> {
  const open = candidates.map(candidate => ({
    candidate,
    model: opened(candidate),
    decode: [] as number[],
    prefill: [] as number[]
  }))
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const { model, decode, prefill } of open) {
        if (round === 0) await doWork(model, { workload: 'decode', tokens: 1, sequences: 1 }, () => {})
        decode.push(await rate(model, 'decode', Math.min(DECODE, model.context), measuring.seconds))
        prefill.push(await rate(model, 'prefill', model.context, measuring.seconds))
        measuring.next()
      }
    }
  } finally {
    for (const { model } of open) model[Symbol.dispose]()
  }
  return open.map(({ candidate, ...rates }) => {
    const decode = spread(rates.decode).median
    const prefill = spread(rates.prefill).median
    return {
      ...kernelsOf(candidate),
      threads: candidate.executor.threads,
      decode,
      prefill,
      seconds: requestSeconds(decode, prefill)
    }
  })
}

/** Tokens per second over at least this time. */
async function rate(
  model: ServingModel,
  workload: 'decode' | 'prefill',
  tokens: number,
  least: number
): Promise<number> {
  const start = performance.now()
  let done = 0
  let seconds = 0
  do {
    await doWork(model, { workload, tokens, sequences: 1 }, n => void (done += n))
    seconds = (performance.now() - start) / 1000
  } while (seconds < least)
  return done / seconds
}

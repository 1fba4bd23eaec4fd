/**
 * Log-likelihoods of continuations: the sum of the log probabilities of each token of a continuation, given the context
 * and the earlier ones. Numbers do not depend on which requests run together.
 */
import { PlanMemory } from '../exec/plan-memory.ts'
import type { Executor, LoadedPlan } from '../exec/plan.ts'
import { invariant } from '../lib/errors.ts'
import type { ModelConfig } from '../model/config.ts'
import { batchInputs, evaluationGraph } from '../model/graphs.ts'
import type { PackedWeights } from '../model/weights.ts'

/** Tokens of a context, at least one, and of its continuation, at least one. */
export interface ScoreRequest {
  readonly context: Int32Array
  readonly continuation: Int32Array
}

export interface Score {
  /** Sum of natural logarithms. */
  readonly logLikelihood: number
  /** Whether greedy decoding gives the continuation. Always false unless it is asked for. */
  readonly greedy: boolean
}

/** Rows of one run, about; and elements of its logits where they are needed. */
const ROWS = 1024
const MOST_LOGITS = 1 << 25
const SHORTEST = 32

/** A plan for windows of one length. */
interface Window {
  readonly plan: LoadedPlan
  readonly memory: PlanMemory
  readonly batch: number
}

export class Scorer implements Disposable {
  readonly #executor: Executor
  readonly #config: ModelConfig
  readonly #weights: PackedWeights
  readonly #greedy: boolean
  readonly #windows = new Map<number, Window>()

  /** @param greedy whether scores say if greedy decoding gives the continuation; it takes memory for logits */
  constructor(executor: Executor, config: ModelConfig, weights: PackedWeights, greedy: boolean) {
    this.#executor = executor
    this.#config = config
    this.#weights = weights
    this.#greedy = greedy
  }

  /**
   * Scores in the order of the requests. A request longer than the model's context loses its first tokens.
   * @param onProgress told the requests that are done
   */
  async score(requests: readonly ScoreRequest[], onProgress?: (done: number) => void): Promise<Score[]> {
    const scores: Score[] = []
    const byLength = requests.map((_, i) => i).sort((a, b) => lengthOf(requests[a]!) - lengthOf(requests[b]!) || a - b)
    let done = 0
    while (done < byLength.length) {
      const length = this.#windowFor(requests[byLength[done]!]!)
      const window = this.#window(length)
      const group = byLength.slice(done, done + window.batch).filter(i => this.#windowFor(requests[i]!) === length)
      const found = await this.#run(
        window,
        length,
        group.map(i => requests[i]!)
      )
      for (const [b, i] of group.entries()) scores[i] = found[b]!
      done += group.length
      onProgress?.(done)
    }
    return scores
  }

  [Symbol.dispose](): void {
    for (const { plan } of this.#windows.values()) plan.dispose()
  }

  /** The next power of two, at most the context. */
  #windowFor(request: ScoreRequest): number {
    let length = SHORTEST
    while (length < lengthOf(request)) length *= 2
    return Math.min(length, this.#config.context)
  }

  #window(length: number): Window {
    const known = this.#windows.get(length)
    if (known !== undefined) return known
    const rows = this.#greedy ? Math.min(ROWS, Math.floor(MOST_LOGITS / this.#config.vocab)) : ROWS
    const batch = Math.max(1, Math.floor(rows / length))
    const shape = { batch, context: length }
    const options = { logits: this.#greedy }
    const { plan, constants } = evaluationGraph(this.#config, shape, this.#weights.form, options)
    const memory = new PlanMemory(
      this.#executor,
      plan,
      { weights: this.#weights.bytes },
      { ...constants, ...batchInputs(shape) }
    )
    const made = { plan: this.#executor.load(plan), memory, batch }
    this.#windows.set(length, made)
    return made
  }

  async #run({ plan, memory }: Window, length: number, requests: readonly ScoreRequest[]): Promise<Score[]> {
    const ids = memory.i32('ids')
    const targets = memory.i32('targets')
    ids.fill(0)
    targets.fill(-1)
    const spans = requests.map((request, b) => {
      // The last token is only predicted.
      const all = [...request.context, ...request.continuation].slice(-(length + 1))
      const count = Math.min(request.continuation.length, all.length - 1)
      invariant(count > 0, 'a continuation has a token, and one before it')
      ids.set(all.slice(0, -1), b * length)
      const end = b * length + all.length - 1
      targets.set(all.slice(-count), end - count)
      return [end - count, end] as const
    })
    await plan.run(memory.buffers)
    const losses = memory.f32('losses')
    return spans.map(([from, to]) => {
      let sum = 0
      for (let r = from; r < to; r++) sum -= losses[r]!
      return { logLikelihood: sum, greedy: this.#greedy && this.#isGreedy(memory, from, to) }
    })
  }

  #isGreedy(memory: PlanMemory, from: number, to: number): boolean {
    const { vocab } = this.#config
    const logits = memory.f32('logits')
    const targets = memory.i32('targets')
    for (let r = from; r < to; r++) {
      const row = logits.subarray(r * vocab, (r + 1) * vocab)
      let best = 0
      for (let v = 1; v < vocab; v++) if (row[v]! > row[best]!) best = v
      if (best !== targets[r]) return false
    }
    return true
  }
}

/** Tokens that the model reads. */
const lengthOf = ({ context, continuation }: ScoreRequest): number => context.length + continuation.length - 1

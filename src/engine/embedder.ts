/**
 * Vectors of texts, and scores of documents for a query, on the weights of a loaded model. Each text is a window of its
 * own, so its numbers do not depend on the others of a batch, nor on their order.
 */
import { PlanMemory } from '../exec/plan-memory.ts'
import type { Executor, LoadedPlan } from '../exec/plan.ts'
import { exp32 } from '../lib/functions.ts'
import type { ModelConfig } from '../model/config.ts'
import { batchInputs, pooledGraph } from '../model/graphs.ts'
import type { PackedWeights } from '../model/weights.ts'

/** Which hidden states become the vector of a text: the last one, the first one, or the mean of all. */
export type Pooling = 'last' | 'cls' | 'mean'

/** Rows of one run, about. */
const ROWS = 512
const SHORTEST = 32

interface Window {
  readonly plan: LoadedPlan
  readonly memory: PlanMemory
  readonly batch: number
}

type Output = 'hidden' | 'pooled' | 'logits'

export class Embedder implements Disposable {
  readonly #executor: Executor
  readonly #config: ModelConfig
  readonly #weights: PackedWeights
  readonly #context: number
  readonly #windows = new Map<string, Window>()

  /** @param context most tokens of a text */
  constructor(executor: Executor, config: ModelConfig, weights: PackedWeights, context: number) {
    this.#executor = executor
    this.#config = config
    this.#weights = weights
    this.#context = context
  }

  /**
   * One vector [hidden] per text, of length 1.
   * @param texts token ids, each at least one and at most the context
   */
  async embed(texts: readonly Int32Array[], pooling: Pooling, signal?: AbortSignal): Promise<Float32Array[]> {
    const { hidden } = this.#config
    const output = pooling === 'mean' ? 'hidden' : 'pooled'
    const place = (length: number): number => (pooling === 'cls' ? 0 : length - 1)
    return await this.#run(texts, output, place, signal, (values, b, length, text) => {
      if (output === 'pooled') return normalised(values.subarray(b * hidden, (b + 1) * hidden))
      const from = b * length * hidden
      return normalised(meanOf(values.subarray(from, from + text.length * hidden), hidden))
    })
  }

  /**
   * The probability of one of two tokens after each text, by their logits alone.
   * @param tokens the one that is asked for, and the other
   */
  async compare(
    texts: readonly Int32Array[],
    [yes, no]: readonly [yes: number, no: number],
    signal?: AbortSignal
  ): Promise<number[]> {
    const { vocab } = this.#config
    const last = (length: number): number => length - 1
    return await this.#run(texts, 'logits', last, signal, (values, b) => {
      const difference = Math.fround(values[b * vocab + no]! - values[b * vocab + yes]!)
      return 1 / Math.fround(1 + exp32(difference))
    })
  }

  [Symbol.dispose](): void {
    for (const { plan } of this.#windows.values()) plan.dispose()
  }

  /** @param place the row of a text whose hidden state counts, by its number of tokens */
  async #run<T>(
    texts: readonly Int32Array[],
    output: Output,
    place: (length: number) => number,
    signal: AbortSignal | undefined,
    result: (values: Float32Array, b: number, length: number, text: Int32Array) => T
  ): Promise<T[]> {
    const results: T[] = []
    const byLength = texts.map((_, i) => i).sort((a, b) => texts[a]!.length - texts[b]!.length || a - b)
    for (let done = 0; done < byLength.length;) {
      signal?.throwIfAborted()
      const length = this.#windowFor(texts[byLength[done]!]!)
      const { plan, memory, batch } = this.#window(length, output)
      const group = byLength.slice(done, done + batch).filter(i => this.#windowFor(texts[i]!) === length)
      const ids = memory.i32('ids')
      ids.fill(0)
      for (const [b, i] of group.entries()) ids.set(texts[i]!, b * length)
      if (output !== 'hidden') {
        const rows = memory.i32('pooledRows')
        rows.fill(0)
        for (const [b, i] of group.entries()) rows[b] = b * length + place(texts[i]!.length)
      }
      await plan.run(memory.buffers)
      const values = memory.f32(output)
      for (const [b, i] of group.entries()) results[i] = result(values, b, length, texts[i]!)
      done += group.length
    }
    return results
  }

  /** The next power of two, at most the context. */
  #windowFor(text: Int32Array): number {
    let length = SHORTEST
    while (length < text.length) length *= 2
    return Math.min(length, this.#context)
  }

  #window(length: number, output: Output): Window {
    const key = `${length} ${output}`
    const known = this.#windows.get(key)
    if (known !== undefined) return known
    const batch = Math.max(1, Math.floor(ROWS / length))
    const shape = { batch, context: length }
    const { plan, constants } = pooledGraph(this.#config, shape, this.#weights.form, output)
    const memory = new PlanMemory(
      this.#executor,
      plan,
      { weights: this.#weights.bytes },
      { ...constants, ...batchInputs(shape) }
    )
    const made = { plan: this.#executor.load(plan), memory, batch }
    this.#windows.set(key, made)
    return made
  }
}

/** Sums in f64, in the order of the tokens, divided once. */
function meanOf(rows: Float32Array, width: number): Float32Array {
  const count = rows.length / width
  const sums = new Float64Array(width)
  for (let i = 0; i < rows.length; i++) sums[i % width]! += rows[i]!
  return Float32Array.from(sums, sum => sum / count)
}

/** The vector divided by its Euclidean length; zero stays zero. A copy. */
function normalised(vector: Float32Array): Float32Array {
  let square = 0
  for (const v of vector) square += v * v
  const length = Math.sqrt(square)
  return length === 0 ? vector.slice() : Float32Array.from(vector, v => v / length)
}

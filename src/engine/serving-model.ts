/**
 * A model ready to serve: its plan, its weights, and the key and value cache of a fixed number of sequences (slots). One run takes rows of any of
 * them, in any mixture; by the arithmetic contract the logits of a row depend on the tokens of its own sequence alone.
 */
import { PlanMemory } from '../exec/plan-memory.ts'
import type { Executor, LoadedPlan } from '../exec/plan.ts'
import { invariant } from '../lib/errors.ts'
import { headWidth, keyHeads } from '../model/config.ts'
import type { ModelConfig } from '../model/config.ts'
import { servingGraph } from '../model/graphs.ts'
import type { PackedWeights } from '../model/weights.ts'

export interface ServingOptions {
  /** Positions of a sequence. Most: the model's context, which is also the default where its cache and rotary table stay small (see `defaultContext`). */
  context?: number | undefined
  /** Sequences that have a place in the cache, 1 to 1,024. Default 8, fewer where their cache would pass 512 MiB. */
  slots?: number | undefined
  /** Rows of one run at most. Default 256. */
  rows?: number | undefined
}

/** One token at one place. */
export interface Row {
  readonly id: number
  /** Place in its sequence, 0 to context - 1. All earlier ones must have been run, or stand before it in this run. */
  readonly position: number
  readonly slot: number
  /** Whether the logits of what follows are wanted. */
  readonly wanted: boolean
}

const CACHE_BYTES = 512 * 2 ** 20
/** Most for one sequence: a cache of 2 GiB, a rotary table that is worked out in about a second. */
const SEQUENCE_BYTES = 2 ** 31
const ROTARY_PAIRS = 2 ** 23

const cacheBytes = (config: ModelConfig): number => 8 * config.layers * keyHeads(config) * headWidth(config)

/**
 * The model's context, or less where the memory for one sequence would be out of proportion: a file of some kilobytes can claim a million positions.
 * Whoever wants more of them says so.
 */
export function defaultContext(config: ModelConfig): number {
  const rotary = config.kind === 'bitnet' ? (2 * ROTARY_PAIRS) / headWidth(config) : Infinity
  return Math.min(config.context, Math.max(2, Math.floor(Math.min(SEQUENCE_BYTES / cacheBytes(config), rotary))))
}

export class ServingModel {
  readonly config: ModelConfig
  readonly context: number
  readonly slots: number
  readonly rows: number
  /** Cache rows of a slot. */
  #stride: number
  #plan: LoadedPlan
  #memory: PlanMemory
  #logits: Float32Array
  #inputs: Record<'ids' | 'positions' | 'cacheRow' | 'sequence' | 'length' | 'outputRows', Int32Array>

  /** @param weights as `loadModel` of src/model gives them */
  constructor(executor: Executor, config: ModelConfig, weights: PackedWeights, options: ServingOptions = {}) {
    this.config = config
    this.context = Math.min(config.context, options.context ?? defaultContext(config))
    this.#stride = Math.ceil(this.context / 16) * 16
    const slotBytes = cacheBytes(config) * this.#stride
    this.slots = options.slots ?? Math.max(1, Math.min(8, Math.floor(CACHE_BYTES / slotBytes)))
    this.rows = Math.max(options.rows ?? 256, this.slots)
    const { plan, constants } = servingGraph(config, { rows: this.rows, outputs: this.slots, cacheRows: this.slots * this.#stride, sequences: this.slots, context: this.context }, weights.form)
    this.#memory = new PlanMemory(executor, plan, { weights: weights.bytes }, constants)
    this.#plan = executor.load(plan)
    this.#logits = this.#memory.f32('logits')
    const pages = this.#memory.i32('pages')
    for (let i = 0; i < this.slots * (this.#stride / 16); i++) pages[i] = i
    // A model without positions of one kind or another has no such input: its numbers go nowhere.
    const input = (name: string): Int32Array => (this.#memory.has(name) ? this.#memory.i32(name) : new Int32Array(this.rows))
    this.#inputs = {
      ids: input('ids'), positions: input('positions'), cacheRow: input('cacheRow'), sequence: input('sequence'), length: input('length'), outputRows: input('outputRows'),
    }
  }

  /** Of the plan that one run is. */
  get steps(): number {
    return this.#plan.plan.steps.length
  }

  /**
   * Runs up to `rows` rows, at most `slots` of them wanted.
   * @returns the logits [vocab] of each wanted row, in order: views that hold until the next run
   */
  async run(rows: readonly Row[]): Promise<Float32Array[]> {
    invariant(rows.length > 0 && rows.length <= this.rows, `a run of ${rows.length} rows`)
    const { ids, positions, cacheRow, sequence, length, outputRows } = this.#inputs
    let outputs = 0
    for (const [r, { id, position, slot, wanted }] of rows.entries()) {
      invariant(position >= 0 && position < this.context && slot >= 0 && slot < this.slots, 'a row lies in its slot')
      ids[r] = id
      positions[r] = position
      sequence[r] = slot
      cacheRow[r] = slot * this.#stride + position
      length[r] = position + 1
      if (wanted) outputRows[outputs++] = r
    }
    invariant(outputs <= this.slots, `${outputs} rows of logits`)
    await this.#plan.run(this.#memory.buffers, { rows: rows.length, outputs })
    const { vocab } = this.config
    return Array.from({ length: outputs }, (_, o) => this.#logits.subarray(o * vocab, (o + 1) * vocab))
  }

  [Symbol.dispose](): void {
    this.#plan.dispose()
  }
}

/**
 * A model ready to serve: its plan, its weights, and a paged KV cache. One run takes rows of any sequences in any
 * mixture; by the arithmetic contract the logits of a row depend only on the tokens of its own sequence, wherever its
 * pages are.
 */
import type { CacheType } from '../arch/architecture.ts'
import { PlanMemory } from '../exec/plan-memory.ts'
import type { Executor, LoadedPlan } from '../exec/plan.ts'
import { invariant } from '../lib/errors.ts'
import type { ModelConfig } from '../model/config.ts'
import { PAGE_ROWS, pagesOf, servingGraph } from '../model/graphs.ts'
import type { PackedWeights } from '../model/weights.ts'
import { cacheTypeOf, defaultContext } from './cache-size.ts'
import type { CacheTypeOption } from './cache-size.ts'

export interface ServingOptions {
  /** Positions of a sequence. Most: the model's context; default: `defaultContext`. */
  context?: number | undefined
  /** Sequences that have a page table (slots), 1 to 1,024. Default 1. */
  slots?: number | undefined
  /** Maximum rows of a run. Default 256, at least `slots`. */
  rows?: number | undefined
  /**
   * Pages of the cache, to be handed out with `setPages`. Default: as many as all slots can use, each slot with its
   * own.
   */
  pages?: number | undefined
  /** Maximum rows of a run with logits. Default and minimum: `slots`. */
  outputs?: number | undefined
  /** Element type of the KV cache. Default 'auto'. */
  cacheType?: CacheTypeOption | undefined
}

/** One token at one position. */
export interface Row {
  readonly id: number
  /** Place in its sequence, 0 to context - 1. All earlier ones must have been run, or stand before it in this run. */
  readonly position: number
  readonly slot: number
  /** Whether the logits of the next token are needed. */
  readonly wanted: boolean
  /** How many of the largest logits are needed: at most 1,024. The others may be -∞. Default, and 0: all of them. */
  readonly top?: number
}

export class ServingModel {
  readonly config: ModelConfig
  readonly context: number
  readonly cacheType: CacheType
  readonly slots: number
  readonly rows: number
  #outputs: number
  /** Pages of each slot, in order [slots, ⌈context/16⌉]; a run copies the rows that it needs. */
  #tables: Int32Array
  #plan: LoadedPlan
  #memory: PlanMemory
  #logits: Float32Array
  #inputs: Record<'ids' | 'positions' | 'cacheRow' | 'pages' | 'sequence' | 'length' | 'outputRows' | 'top', Int32Array>

  /** @param weights as `loadModel` of src/model gives them */
  constructor(executor: Executor, config: ModelConfig, weights: PackedWeights, options: ServingOptions = {}) {
    this.config = config
    this.cacheType = cacheTypeOf(config, options.cacheType)
    this.context = Math.min(config.context, options.context ?? defaultContext(config, this.cacheType))
    this.slots = options.slots ?? 1
    this.rows = Math.max(options.rows ?? 256, this.slots)
    this.#outputs = Math.max(options.outputs ?? 0, this.slots)
    // By default, first pages are neighbours: short sequences touch little memory.
    const own = (i: number): number => (i % this.#width) * this.slots + Math.floor(i / this.#width)
    this.#tables = Int32Array.from({ length: this.slots * this.#width }, (_, i) =>
      options.pages === undefined ? own(i) : 0
    )
    const cacheRows = PAGE_ROWS * (options.pages ?? this.#tables.length)
    const { plan, constants } = servingGraph(
      config,
      {
        rows: this.rows,
        outputs: this.#outputs,
        cacheRows,
        sequences: this.slots,
        context: this.context,
        cacheType: this.cacheType
      },
      weights.form
    )
    this.#memory = new PlanMemory(executor, plan, { weights: weights.bytes }, constants)
    this.#plan = executor.load(plan, true)
    this.#logits = this.#memory.f32('logits')
    // A model without such positions lacks this input: its values are ignored.
    const input = (name: string): Int32Array =>
      this.#memory.has(name) ? this.#memory.i32(name) : new Int32Array(this.rows)
    this.#inputs = {
      ids: input('ids'),
      positions: input('positions'),
      cacheRow: input('cacheRow'),
      pages: input('pages'),
      sequence: input('sequence'),
      length: input('length'),
      outputRows: input('outputRows'),
      top: input('top')
    }
  }

  /** Number of steps in the plan of one run. */
  get steps(): number {
    return this.#plan.plan.steps.length
  }

  /**
   * Runs up to `rows` rows, at most `outputs` of them wanted.
   * @returns the logits [vocab] of each wanted row, in order: views that hold until the next run
   */
  async run(rows: readonly Row[]): Promise<Float32Array[]> {
    invariant(rows.length > 0 && rows.length <= this.rows, `a run of ${rows.length} rows`)
    const { ids, positions, cacheRow, pages, sequence, length, outputRows, top } = this.#inputs
    pages.set(this.#tables)
    let outputs = 0
    for (const [r, { id, position, slot, wanted, top: most = 0 }] of rows.entries()) {
      invariant(position >= 0 && position < this.context && slot >= 0 && slot < this.slots, 'a row lies in its slot')
      ids[r] = id
      positions[r] = position
      sequence[r] = slot
      const page = slot * this.#width + Math.floor(position / PAGE_ROWS)
      cacheRow[r] = this.#tables[page]! * PAGE_ROWS + (position % PAGE_ROWS)
      length[r] = position + 1
      if (!wanted) continue
      top[outputs] = most
      outputRows[outputs++] = r
    }
    invariant(outputs <= this.#outputs, `${outputs} rows of logits`)
    await this.#plan.run(this.#memory.buffers, { rows: rows.length, outputs })
    const { vocab } = this.config
    return Array.from({ length: outputs }, (_, o) => this.#logits.subarray(o * vocab, (o + 1) * vocab))
  }

  get #width(): number {
    return pagesOf(this.context)
  }

  /** Sets the pages of a slot, in order; a current run keeps the old ones. */
  setPages(slot: number, pages: readonly number[]): void {
    invariant(slot >= 0 && slot < this.slots && pages.length <= this.#width, 'a slot and its pages')
    this.#tables.set(pages, slot * this.#width)
  }

  [Symbol.dispose](): void {
    this.#plan.dispose()
  }
}

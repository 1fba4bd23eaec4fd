/**
 * What this machine can do at most with an executor's threads, measured: bytes a second read from memory, and int8 operations a second on registers. The probes run through plan and
 * pool as a model does, on memory of the allocator that its weights use.
 */
import { totalmem } from 'node:os'
import type { Executor, LoadedPlan, Plan } from '../exec/plan.ts'
import { PlanMemory } from '../exec/plan-memory.ts'
import { PlanBuilder } from '../graph/plan-builder.ts'
import { DOT_OPERATIONS, DOT_ROUNDS, READ_CHUNK } from '../ops/probe.ts'

const READ_SECONDS = 0.08
const DOT_SECONDS = 0.02
const GIB = 2 ** 30

export class MachineLimits implements Disposable {
  /** Bytes that one pass reads: 1 GiB, or an eighth of a smaller machine's memory. */
  readonly readBytes: number
  #read: Probe
  #dot: Probe
  #dotRounds: number
  #dotRows: number

  /** @param bytes to read in a pass, a multiple of 1 MiB; less than the caches hold would measure those */
  constructor(executor: Executor, bytes?: number) {
    const slow = executor.name === 'reference' // for which memory is no limit
    const most = Math.floor(totalmem() / 8 / READ_CHUNK) * READ_CHUNK
    this.readBytes = bytes ?? (slow ? 16 * READ_CHUNK : Math.max(READ_CHUNK, Math.min(GIB, most)))
    this.#dotRounds = slow ? 256 : DOT_ROUNDS
    this.#dotRows = executor.threads
    this.#read = new Probe(executor, readPlan(this.readBytes))
    this.#dot = new Probe(executor, dotPlan(DOT_ROWS, this.#dotRounds))
    // Pages that nobody has written to may all be the same one.
    for (const probe of [this.#read, this.#dot]) for (const view of Object.values(probe.memory.buffers)) new Uint32Array(view.buffer, 0, view.byteLength >> 2).fill(0x01020102)
  }

  /** Bytes a second, over at least 0.08 s. */
  async readRate(): Promise<number> {
    const { passes, seconds } = await this.#read.repeat(READ_SECONDS)
    return (passes * this.readBytes) / seconds
  }

  /** Multiplications and additions a second of the int8 dot products that the kernels of this instruction set use, over at least 0.02 s. */
  async dotRate(): Promise<number> {
    for (;;) {
      const { passes, seconds } = await this.#dot.repeat(0, this.#dotRows)
      if (seconds >= DOT_SECONDS || this.#dotRows >= DOT_ROWS) return (passes * this.#dotRows * this.#dotRounds * DOT_OPERATIONS) / seconds
      this.#dotRows = Math.min(DOT_ROWS, this.#dotRows * 2)
    }
  }

  [Symbol.dispose](): void {
    this.#read.plan.dispose()
    this.#dot.plan.dispose()
  }
}

/** Rows of `dotProbe` in a run at most: what each of 1,024 threads does in some 10 ms. */
const DOT_ROWS = 1 << 17

function readPlan(bytes: number): Plan {
  const b = new PlanBuilder()
  b.step('readProbe', [b.tensor('x', 'u8', bytes)], [b.tensor('y', 'i32', Math.ceil(bytes / READ_CHUNK))], { N: bytes })
  return b.build()
}

function dotPlan(rows: number, rounds: number): Plan {
  const b = new PlanBuilder()
  b.step('dotProbe', [b.tensor('c', 'u8', 128), b.tensor('q', 'i8', 112)], [b.tensor('y', 'i32', 16 * rows)], { N: 'rows', rounds })
  return b.build({ rows, outputs: 1 })
}

class Probe {
  readonly plan: LoadedPlan
  readonly memory: PlanMemory

  constructor(executor: Executor, plan: Plan) {
    this.plan = executor.load(plan)
    this.memory = new PlanMemory(executor, plan)
  }

  /** Runs until the time is over, at least once. */
  async repeat(atLeast: number, rows?: number): Promise<{ passes: number; seconds: number }> {
    const start = performance.now()
    let passes = 0, seconds = 0
    do {
      await this.plan.run(this.memory.buffers, rows === undefined ? {} : { rows })
      passes++
      seconds = (performance.now() - start) / 1000
    } while (seconds < atLeast)
    return { passes, seconds }
  }
}

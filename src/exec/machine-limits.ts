/**
 * Measured limits of this machine with an executor's threads: memory bandwidth, int8 operations per second on
 * registers, and runs per second of a plan of empty steps, which bounds small models. The probes use plan, pool and
 * allocator as a model does.
 */
import { totalmem } from 'node:os'
import { roundUp } from '../lib/float.ts'
import { DOT_OPERATIONS, DOT_ROUNDS, READ_CHUNK } from '../ops/probe.ts'
import { PlanMemory } from './plan-memory.ts'
import type { Executor, LoadedPlan, Plan, PlanTensor, Step } from './plan.ts'

const READ_SECONDS = 0.08
const SHORT_SECONDS = 0.02
const GIB = 2 ** 30

export class MachineLimits implements Disposable {
  /** Bytes that one pass reads: 1 GiB, or an eighth of a smaller machine's memory. */
  readonly readBytes: number
  #read: Probe
  #dot: Probe
  #empty: Probe
  #dotRounds: number
  #dotRows: number

  /**
   * @param steps of the empty plan
   * @param bytes to read in a pass, a multiple of 1 MiB; less than the caches hold would measure those
   */
  constructor(executor: Executor, steps: number, bytes?: number) {
    const slow = executor.name === 'reference' // for which memory is no limit
    const most = Math.floor(totalmem() / 8 / READ_CHUNK) * READ_CHUNK
    this.readBytes = bytes ?? (slow ? 16 * READ_CHUNK : Math.max(READ_CHUNK, Math.min(GIB, most)))
    this.#dotRounds = slow ? 256 : DOT_ROUNDS
    this.#dotRows = executor.threads
    this.#read = new Probe(executor, readPlan(this.readBytes))
    this.#dot = new Probe(executor, dotPlan(DOT_ROWS, this.#dotRounds))
    this.#empty = new Probe(executor, repeated(dotPlan(executor.threads, 0), steps))
    // Pages that nobody has written to may all be the same one.
    for (const probe of [this.#read, this.#dot])
      for (const view of Object.values(probe.memory.buffers))
        new Uint32Array(view.buffer, view.byteOffset, view.byteLength >> 2).fill(0x01020102)
  }

  /** Bytes per second, over at least 0.08 s. */
  async readRate(): Promise<number> {
    const { passes, seconds } = await this.#read.repeat(READ_SECONDS)
    return (passes * this.readBytes) / seconds
  }

  /**
   * Multiplications and additions per second of the int8 dot products of this instruction set, over at least 0.02 s.
   */
  async dotRate(): Promise<number> {
    for (;;) {
      const { passes, seconds } = await this.#dot.repeat(0, this.#dotRows)
      if (seconds >= SHORT_SECONDS || this.#dotRows >= DOT_ROWS)
        return (passes * this.#dotRows * this.#dotRounds * DOT_OPERATIONS) / seconds
      this.#dotRows = Math.min(DOT_ROWS, this.#dotRows * 2)
    }
  }

  /** Runs per second of a plan of this many empty steps, one chunk per thread, over at least 0.02 s. */
  async emptyRate(): Promise<number> {
    const { passes, seconds } = await this.#empty.repeat(SHORT_SECONDS)
    return passes / seconds
  }

  [Symbol.dispose](): void {
    this.#read.plan.dispose()
    this.#dot.plan.dispose()
    this.#empty.plan.dispose()
  }
}

/** Maximum rows of `dotProbe` per run: about 10 ms of work for each of 1,024 threads. */
const DOT_ROWS = 1 << 17

/** One step with a buffer for each tensor. */
function probePlan(
  op: string,
  inputs: Record<string, [PlanTensor['dtype'], bytes: number]>,
  outputBytes: number,
  attributes: Step['attributes'],
  rows: number
): Plan {
  const parts = Object.entries({ ...inputs, y: ['i32', outputBytes] as const })
  const tensors = parts.map(([, [dtype, bytes]], i) => ({ dtype, bytes, buffer: i + 1, offset: 0 }))
  const names = parts.map(([name]) => name)
  const indices = names.map((_, i) => i)
  return {
    tensors,
    buffers: ['arena', ...names],
    bufferBytes: [0, ...tensors.map(t => roundUp(t.bytes, 64))],
    limits: { rows, outputs: 1 },
    steps: [{ op, inputs: indices.slice(0, -1), outputs: indices.slice(-1), attributes }]
  }
}

const readPlan = (bytes: number): Plan =>
  probePlan('readProbe', { x: ['u8', bytes] }, 4 * Math.ceil(bytes / READ_CHUNK), [{ int: bytes }], 1)
const dotPlan = (rows: number, rounds: number): Plan =>
  probePlan('dotProbe', { c: ['u8', 128], q: ['i8', 112] }, 64 * rows, [{ int: 'rows' }, { int: rounds }], rows)

const repeated = (plan: Plan, times: number): Plan => ({ ...plan, steps: Array<Step>(times).fill(plan.steps[0]!) })

class Probe {
  readonly plan: LoadedPlan
  readonly memory: PlanMemory

  constructor(executor: Executor, plan: Plan) {
    this.plan = executor.load(plan)
    // In the pages that weights have, not in those of a cache.
    const buffers = plan.buffers.map((name, b) => [name, b] as const).slice(1)
    this.memory = new PlanMemory(
      executor,
      plan,
      Object.fromEntries(buffers.map(([name, b]) => [name, new Uint8Array(executor.allocate(plan.bufferBytes[b]!))]))
    )
  }

  /** Repeats until the time is over, at least once. */
  async repeat(atLeast: number, rows?: number): Promise<{ passes: number; seconds: number }> {
    const start = performance.now()
    let passes = 0
    let seconds = 0
    do {
      await this.plan.run(this.memory.buffers, rows === undefined ? {} : { rows })
      passes++
      seconds = (performance.now() - start) / 1000
    } while (seconds < atLeast)
    return { passes, seconds }
  }
}

/**
 * The native executor: hands a whole plan to the addon in one call. Its threads walk the ops; the promise settles when
 * the last is done and the event loop is never blocked. The only file that loads the addon.
 */
import { createRequire } from 'node:module'
import { givenSetting } from '../lib/compute-settings.ts'
import type { InstructionSetName } from '../lib/compute-settings.ts'
import { usableCores } from '../lib/cores.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { kernelFiles } from './kernel-files.ts'
import { symbols } from './plan.ts'
import type { Attribute, Bindings, Buffers, Executor, LoadedPlan, Plan } from './plan.ts'
import { processors } from './processors.ts'

export type InstructionSet = Exclude<InstructionSetName, 'reference'>

export interface ExecutorOptions {
  /**
   * Worker threads, 0 to 1,024. Default, and 0: the environment's VERIT_THREADS, or one for each of `cores`, or for
   * each core that the process may use.
   */
  threads?: number | undefined
  /**
   * 'avx512', 'avx2vnni', 'avx2', 'neondot', 'neon', 'baseline' or 'reference'. Default, also as 'auto': the
   * environment's VERIT_ISA, or the best here.
   */
  instructionSet?: string | undefined
  /**
   * Processors that worker threads are tied to in turn, such as "0-3,5" (Linux). Default: none, or the environment's
   * VERIT_CORES.
   */
  cores?: string | undefined
}

interface Addon {
  readonly ops: readonly string[]
  /** Those this machine can run, best first. */
  readonly instructionSets: readonly InstructionSet[]
  /** Whether the processor looks bytes up in registers (AVX-512 VBMI). */
  readonly vbmi: boolean
  allocate(bytes: number, sparse: boolean): ArrayBuffer
  /**
   * Asks the system to prepare a part of the memory of `allocate`, on a thread of Node; if it cannot, pages come on
   * first use.
   */
  populate(memory: ArrayBuffer, from: number, to: number): void
  /** @param cores processors to pin the threads to: thread i to number i modulo their count; none: no pinning */
  createPool(threads: number, cores: Int32Array): object
  createPlan(
    set: string,
    program: Int32Array,
    tensors: Float64Array,
    bufferBytes: Float64Array,
    limits: Int32Array
  ): object
  run(pool: object, plan: object, buffers: (ArrayBufferView | ArrayBuffer)[], symbols: Int32Array): Promise<void>
  /**
   * Locks the process (native/sandbox.c). `landlock`: version of the interface, 0 for none; the others: 1 for locked,
   * 0 for not.
   * @param command whether this is a user's command, which also writes to open files and sets up its terminal
   */
  lock(
    memoryBytes: number,
    withSeccomp: boolean,
    command: boolean
  ): Record<'noNewPrivs' | 'landlock' | 'seccomp' | 'codeRange' | 'memory' | 'noRing', number>
  /**
   * Protects the process (native/protect.c). 1: the protection holds; 0: not on this system. @param ignored signal
   * numbers that have no effect from now on
   */
  protect(ignored: Int32Array): Record<'noCore' | 'notDumpable', number>
  /**
   * On Linux, runs a program in place of this process that can have no io_uring and keeps only the first descriptors
   * (native/ring.c). Returns the number of the error. An empty program means this one, with the other arguments of the
   * list and then its own.
   */
  restart(programAndArguments: readonly string[], descriptors: number): number
  functions(set: string, which: number, x: Float32Array, y: Float32Array): void
}

let loaded: Addon | undefined | null = null
let failure: string | undefined

/** The addon for those that compute: undefined, too, where VERIT_EXECUTOR=reference asks to do without. */
export function addon(): Addon | undefined {
  return process.env.VERIT_EXECUTOR === 'reference' ? undefined : nativeLibrary()
}

/** The addon, or undefined if this platform has none. kernel-files.ts locates it. Loading it starts no thread. */
export function nativeLibrary(): Addon | undefined {
  if (loaded !== null) return loaded
  loaded = undefined
  for (const file of kernelFiles()) {
    try {
      loaded = createRequire(file)(file) as Addon
      return loaded
    } catch (e) {
      // built for another system (an older libc, for example): try the next file
      failure ??= `${file} does not load: ${(e as Error).message.split('\n')[0]}`
    }
  }
  return undefined
}

/** Why the first file with kernels did not load. Undefined if there is none, or if one has loaded. */
export const addonFailure = (): string | undefined => (addon() === undefined ? failure : undefined)

const scratch = new DataView(new ArrayBuffer(4))
function encodeAttribute(a: Attribute): [tag: number, value: number] {
  if ('f32' in a) {
    scratch.setFloat32(0, a.f32)
    return [0, scratch.getInt32(0)]
  }
  if (typeof a.int === 'string') return [1 + symbols.indexOf(a.int), 0]
  if (!Number.isInteger(a.int) || a.int < 0 || a.int > 0xffffffff)
    throw new VeritError('VERIT_PLAN', { problem: `the attribute ${a.int} is not an unsigned 32-bit integer` })
  return [0, a.int | 0]
}

function tensorIndex(i: number): number {
  if (!Number.isInteger(i) || i < -1 || i > 0x7fffffff)
    throw new VeritError('VERIT_PLAN', { problem: `the tensor index ${i} is out of range` })
  return i
}

function encode(plan: Plan, ops: readonly string[]): Int32Array {
  const program: number[] = []
  for (const step of plan.steps) {
    const op = ops.indexOf(step.op)
    if (op < 0)
      throw new VeritError('VERIT_PLAN', { problem: `the addon has no op ${step.op}: it was built from other sources` })
    const { inputs, outputs, attributes } = step
    program.push(
      op,
      inputs.length,
      outputs.length,
      attributes.length,
      ...inputs.map(tensorIndex),
      ...outputs.map(tensorIndex),
      ...attributes.flatMap(encodeAttribute)
    )
  }
  return Int32Array.from(program)
}

/** An error of the addon becomes one of ours. */
function translate(e: unknown): never {
  const { code, message } = e as { code?: string; message?: string }
  if (code === 'VERIT_MEMORY') throw new VeritError('VERIT_MEMORY', { problem: message ?? 'out of memory' }, e)
  if (code === 'VERIT_USAGE')
    throw new VeritError(
      'VERIT_USAGE',
      { problem: `The system refuses: ${message ?? ''}`, hint: 'Name other cores, or none' },
      e
    )
  if (code === 'VERIT_PLAN') throw new VeritError('VERIT_PLAN', { problem: message ?? '' }, e)
  throw new VeritError('VERIT_INTERNAL', { problem: `native: ${message ?? String(e)}` }, e)
}

class NativePlan implements LoadedPlan {
  readonly plan: Plan
  #addon: Addon
  #pool: object
  #handle: object
  #arena: ArrayBuffer | undefined
  #last: Promise<void> = Promise.resolve()

  constructor(native: Addon, pool: object, set: string, plan: Plan, sparse: boolean) {
    this.plan = plan
    this.#addon = native
    this.#pool = pool
    try {
      this.#handle = native.createPlan(
        set,
        encode(plan, native.ops),
        Float64Array.from(plan.tensors.flatMap(t => [t.buffer, t.offset, t.bytes])),
        Float64Array.from(plan.bufferBytes),
        Int32Array.from(symbols, s => plan.limits[s])
      )
      this.#arena = native.allocate(plan.bufferBytes[0]!, sparse)
    } catch (e) {
      if (VeritError.is(e)) throw e
      translate(e)
    }
  }

  run(buffers: Buffers, bindings: Bindings = {}): Promise<void> {
    const next = this.#last.then(() => this.#run(buffers, bindings))
    this.#last = next.catch(() => undefined)
    return next
  }

  async #run(buffers: Buffers, bindings: Bindings): Promise<void> {
    const { plan } = this
    invariant(this.#arena !== undefined, 'a plan was run after it was disposed of')
    const list: (ArrayBufferView | ArrayBuffer)[] = [this.#arena]
    for (const name of plan.buffers.slice(1)) {
      const b = buffers[name]
      if (b === undefined) throw new VeritError('VERIT_PLAN', { problem: `the buffer ${name} is missing` })
      list.push(b)
    }
    try {
      await this.#addon.run(
        this.#pool,
        this.#handle,
        list,
        Int32Array.from(symbols, s => bindings[s] ?? plan.limits[s])
      )
    } catch (e) {
      translate(e)
    }
  }

  dispose(): void {
    this.#arena = undefined
  }
}

/**
 * Missing options come from VERIT_THREADS, VERIT_ISA and VERIT_CORES. Otherwise: one thread per core that is named or
 * that this process may use (processors.ts), the best instruction set of this machine, no pinning.
 * @returns undefined if there is no addon
 * @throws VeritError VERIT_USAGE for an unavailable instruction set, a number of threads beyond 0 to 1024, or unusable
 *   cores
 */
export function nativeExecutor({ threads, instructionSet, cores }: ExecutorOptions = {}): Executor | undefined {
  const native = addon()
  if (native === undefined) return undefined
  const isa = givenSetting(instructionSet, 'VERIT_ISA') ?? native.instructionSets[0]!
  if (!native.instructionSets.includes(isa as InstructionSet)) {
    throw new VeritError('VERIT_USAGE', {
      problem: `This machine cannot run the instruction set ${isa}`,
      hint: `Use one of ${[...native.instructionSets, 'reference'].join(', ')}`
    })
  }
  const named = cores ?? process.env.VERIT_CORES
  const tied = named === undefined ? [] : usableCores(named)
  const { VERIT_THREADS = '0' } = process.env
  const asked = threads === undefined || threads === 0 ? Number(VERIT_THREADS) : threads
  const count = asked !== 0 ? asked : tied.length > 0 ? Math.min(tied.length, 1024) : processors().threads
  if (!Number.isInteger(count) || count < 1 || count > 1024) {
    throw new VeritError('VERIT_USAGE', {
      problem:
        `${Object.is(asked, threads) ? threads : `VERIT_THREADS=${VERIT_THREADS.slice(0, 100)}`} is not a ` +
        'number of threads',
      hint: 'Use 1 to 1024, or 0 for one a core'
    })
  }
  let pool: object
  try {
    pool = native.createPool(count, Int32Array.from(tied))
  } catch (e) {
    translate(e)
  }
  return {
    name: `native ${isa}`,
    threads: count,
    bytePermutes: isa === 'avx512' && native.vbmi,
    allocate(bytes, sparse = false) {
      try {
        return native.allocate(bytes, sparse)
      } catch (e) {
        return translate(e)
      }
    },
    load: (plan, sparse = false) => new NativePlan(native, pool, isa, plan, sparse)
  }
}

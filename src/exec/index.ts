/** Chooses an executor: the native one, or, where there is no usable addon, the reference with a warning. */
import { VeritError } from '../lib/errors.ts'
import { addon, nativeExecutor } from './native.ts'
import type { Executor } from './plan.ts'
import { referenceExecutor } from './reference.ts'

export interface ExecutorOptions {
  /** Worker threads. Default: one for each core that the process may use, or the environment's VERIT_THREADS. */
  threads?: number
  /** 'avx512', 'avx2', 'neon', 'baseline' or 'reference'. Default: the best here, or the environment's VERIT_ISA. Results do not depend on it. */
  instructionSet?: string
}

/** Names that `openExecutor` accepts on this machine, the fastest first; 'reference' is always the last. */
export function instructionSets(): string[] {
  return [...(addon()?.instructionSets ?? []), 'reference']
}

let warned = false

/** @throws VeritError VERIT_USAGE for an instruction set that this machine lacks */
export function openExecutor(options: ExecutorOptions = {}): Executor {
  const set = options.instructionSet ?? process.env.VERIT_ISA
  if (set === 'reference' || process.env.VERIT_EXECUTOR === 'reference') return referenceExecutor()
  const native = nativeExecutor(options.threads, set)
  if (native !== undefined) return native
  if (set !== undefined) {
    throw new VeritError('VERIT_USAGE', { problem: `The instruction set ${set} needs the native kernels, which are not built here`, hint: 'Run `npm run native`, or use reference' })
  }
  if (!warned) process.stderr.write('verit: the native kernels are not built for this machine; the reference executor serves, a few hundred times slower (in a checkout `npm run native` builds them)\n')
  warned = true
  return referenceExecutor()
}

/** Chooses an executor: the native one, or the reference with a warning if there is no usable addon. */
import { givenSetting } from '../lib/compute-settings.ts'
import { VeritError } from '../lib/errors.ts'
import { PLATFORM, howToGetKernels } from './kernel-files.ts'
import { addon, addonFailure, nativeExecutor } from './native.ts'
import type { ExecutorOptions } from './native.ts'
import type { Executor } from './plan.ts'
import { referenceExecutor } from './reference.ts'

export type { ExecutorOptions } from './native.ts'

/** Names that `openExecutor` accepts on this machine, the fastest first; 'reference' is always the last. */
export function instructionSets(): string[] {
  return [...(addon()?.instructionSets ?? []), 'reference']
}

let warned = false

/**
 * No result depends on any of the options. @throws VeritError VERIT_USAGE for options that this machine does not
 * support
 */
export function openExecutor(options: ExecutorOptions = {}): Executor {
  const set = givenSetting(options.instructionSet, 'VERIT_ISA')
  const cores = options.cores ?? process.env.VERIT_CORES
  const slow = set === 'reference' || process.env.VERIT_EXECUTOR === 'reference'
  const native = slow ? undefined : nativeExecutor({ ...options, instructionSet: set })
  if (native !== undefined) return native
  if (cores !== undefined)
    throw new VeritError('VERIT_USAGE', {
      problem: 'Cores are for the threads of the native kernels, and the reference executor has none',
      hint: 'Leave the cores out'
    })
  if (slow) return referenceExecutor()
  if (set !== undefined) {
    const problem = `The instruction set ${set} needs native kernels, and there are none for this machine`
    throw new VeritError('VERIT_USAGE', {
      problem,
      hint: `Use the instruction set reference; or, to get kernels, ${howToGetKernels()}`
    })
  }
  if (!warned) process.stderr.write(`verit: ${slowWarning()}\n`)
  warned = true
  return referenceExecutor()
}

function slowWarning(): string {
  const failure = addonFailure()
  const reason =
    failure === undefined
      ? `There are no native kernels for ${PLATFORM}`
      : `The native kernels cannot be used: ${failure}`
  return `${reason}. Models run in plain TypeScript, a few hundred times slower. To fix this, ${howToGetKernels()}.`
}

/**
 * The options of every command that computes: threads, cores, instruction set, packing of ternary weights, output-head
 * screening. No result depends on these. The type of the KV cache is the exception.
 */
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { cacheTypeOptions } from '../engine/cache-size.ts'
import type { CacheTypeOption } from '../engine/cache-size.ts'
import { openExecutor } from '../exec/index.ts'
import type { Executor } from '../exec/plan.ts'
import { instructionSetNames, ternaryPackings } from '../lib/compute-settings.ts'
import { numberOption } from './prepare.ts'

export interface ComputeFlags {
  threads?: number
  cores?: string
  instructionSet?: string
  packing?: string
  headScreen?: keyof typeof SCREENING
}

export interface CacheFlags {
  kvCacheType?: CacheTypeOption
}

/** By the words of the option. */
export const SCREENING = { auto: 'auto', on: true, off: false } as const

export const threadsOption = (c: Command): Command =>
  c.option('--threads <n>', 'compute threads; 0, the default: one per core, or per processor of --cores', threads)

/** The range of the setting of `verit serve`. */
function threads(text: string): number {
  const n = numberOption(text)
  if (!Number.isInteger(n) || n < 0 || n > 1024)
    throw new InvalidArgumentError('It must be a whole number from 0 to 1,024.')
  return n
}

const SETS = `auto, ${instructionSetNames.slice(0, -1).join(', ')} or ${instructionSetNames.at(-1)!}`

export const setOption = (c: Command): Command =>
  c.option('--instruction-set <name>', `${SETS} (default: auto, the fastest here; results do not depend on it)`)

export const coresOption = (c: Command): Command =>
  c.option('--cores <list>', 'pin the threads to these processors in turn, such as 0-3,5 (Linux; default: no pinning)')

export const packingOption = (c: Command): Command =>
  c.addOption(
    new Option(
      '--packing <name>',
      'packing of ternary weights in memory (default: auto, the fastest here; results do not depend on it)'
    ).choices(['auto', ...ternaryPackings])
  )

export const headScreenOption = (c: Command): Command =>
  c.addOption(
    new Option(
      '--head-screen <when>',
      'output-head screening of f16 heads; on: refuse models that do not support it (default: auto, for heads of ' +
        '64 MiB or more; results do not depend on it)'
    ).choices(Object.keys(SCREENING))
  )

export const cacheTypeOption = (c: Command): Command =>
  c.addOption(
    new Option(
      '--kv-cache-type <type>',
      'element type of the KV cache; f16 halves its memory and rounds keys and values, so results depend on it ' +
        '(default: auto, f32 for gpt and bitnet, f16 for others)'
    ).choices(cacheTypeOptions)
  )

export const executorOf = ({ threads, cores, instructionSet }: ComputeFlags): Executor =>
  openExecutor({ threads, cores, instructionSet })

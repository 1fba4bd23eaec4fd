/** How large the key and value cache of a model is: pages that all sequences share, each of 16 positions of every layer. */
import { VeritError } from '../lib/errors.ts'
import { machineMemory } from '../lib/machine-memory.ts'
import type { LayerCache, ModelConfig } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'
import { PAGE_ROWS, pagesOf } from '../model/graphs.ts'
import type { CacheType } from '../model/graphs.ts'

export interface CacheOptions {
  /** Positions of a sequence. Most: the model's context, which is also the default where its cache and rotary table stay small (see `defaultContext`). */
  context?: number | undefined
  /** Sequences that run side by side, 1 to 1,024. Default 64. */
  slots?: number | undefined
  /**
   * Bytes of the cache, which has to hold one sequence. Default: a quarter of the memory that the weights leave free, at least one sequence of `context` positions. Never more than
   * all slots can use. What no sequence has used takes no memory.
   */
  cacheBytes?: number | undefined
  /** Bytes that the process may use, for the default of `cacheBytes`. Default: the machine's, or its container's. */
  memoryBytes?: number | undefined
}

export interface CacheSize {
  readonly context: number
  readonly slots: number
  readonly pages: number
}

/** Most for one sequence where nobody asked for a context: a cache of 2 GiB, a rotary table that is worked out in about a second. */
export const SEQUENCE_BYTES = 2 ** 31
const ROTARY_PAIRS = 2 ** 23
/** Of the memory that the weights leave free. */
export const CACHE_SHARE = 1 / 4
/** Rows of a cache are numbered in 32 bits. */
const MOST_PAGES = Math.floor((2 ** 31 - 1) / PAGE_ROWS)

/** Of what all layers keep of one position: keys and values, or columns of short convolutions, which are f32 always. */
export function positionBytes(config: ModelConfig, cacheType: CacheType = 'f32'): number {
  const element = cacheType === 'f16' ? 2 : 4
  const bytes = (c: LayerCache): number => (c.kind === 'conv' ? 4 * c.width : 2 * element * c.kvHeads * c.headDim)
  return architecture(config).caches(config).reduce((sum, cache) => sum + bytes(cache), 0)
}

/**
 * The model's context, or less where the memory for one sequence would be out of proportion: a file of some kilobytes can claim a million positions.
 * Whoever wants more of them says so.
 */
export function defaultContext(config: ModelConfig): number {
  const rotary = ROTARY_PAIRS / architecture(config).rotaryPairs(config)
  return Math.min(config.context, Math.max(2, Math.floor(Math.min(SEQUENCE_BYTES / positionBytes(config), rotary))))
}

/** @throws VeritError VERIT_REQUEST where `cacheBytes` does not hold `context` positions, or no two */
export function cacheSize(config: ModelConfig, weightBytes: number, options: CacheOptions = {}): CacheSize {
  const { slots = 64, cacheBytes, memoryBytes = machineMemory() } = options
  const pageBytes = PAGE_ROWS * positionBytes(config)
  let context = Math.min(config.context, options.context ?? defaultContext(config))
  const asked = Math.floor((cacheBytes ?? Math.max(0, memoryBytes - weightBytes) * CACHE_SHARE) / pageBytes)
  if (cacheBytes !== undefined && asked < pagesOf(context)) {
    if (options.context !== undefined || asked === 0) {
      const bytes = pagesOf(context) * pageBytes
      throw new VeritError('VERIT_REQUEST', { field: 'cacheBytes', problem: `must be at least ${bytes} (cache_mib = ${Math.ceil(bytes / 2 ** 20)} in the configuration of the server): ${context} positions of this model take that` })
    }
    context = asked * PAGE_ROWS
  }
  return { context, slots, pages: Math.min(Math.max(asked, pagesOf(context)), slots * pagesOf(context), MOST_PAGES) }
}

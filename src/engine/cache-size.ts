/**
 * How large the key and value cache of a model is: pages that all sequences share, each of 16 positions of every layer.
 */
import { cacheTypes } from '../lib/compute-settings.ts'
import { VeritError } from '../lib/errors.ts'
import { machineMemory } from '../lib/machine-memory.ts'
import type { CacheType, LayerCache, ModelConfig } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'
import { PAGE_ROWS, pagesOf } from '../model/graphs.ts'

/** Values of the setting for the element type of the KV cache. 'auto': the default of the architecture. */
export const cacheTypeOptions = ['auto', ...cacheTypes] as const
export type CacheTypeOption = (typeof cacheTypeOptions)[number]

export interface CacheOptions {
  /**
   * Element type of cached keys and values. f16 halves the cache's memory and rounds every key and value to nearest,
   * ties to even: results depend on it. Default 'auto': f32 for the kinds gpt and bitnet, f16 for all others.
   */
  cacheType?: CacheTypeOption | undefined
  /**
   * Positions of a sequence. Most: the model's context, which is also the default where its cache and rotary table stay
   * small (see `defaultContext`).
   */
  context?: number | undefined
  /** Maximum number of concurrent sequences, 1 to 1,024. Default 64. */
  slots?: number | undefined
  /**
   * Bytes of the KV cache, enough for at least one sequence. Default: a quarter of the memory that the weights leave
   * free, at least one sequence of `context` positions, at most the need of all slots. Unused cache takes no memory.
   */
  cacheBytes?: number | undefined
  /**
   * Memory limit of the process in bytes, for the default of `cacheBytes`. Default: the machine's, or its container's.
   */
  memoryBytes?: number | undefined
}

export interface CacheSize {
  readonly cacheType: CacheType
  readonly context: number
  readonly slots: number
  readonly pages: number
}

/**
 * Most for one sequence where nobody asked for a context: a cache of 2 GiB, a rotary table that is worked out in about
 * a second.
 */
export const SEQUENCE_BYTES = 2 ** 31
const ROTARY_PAIRS = 2 ** 23
/** The cache's default share of the memory that the weights leave free. */
export const CACHE_SHARE = 1 / 4
/** Rows of a cache are numbered in 32 bits. */
const MOST_PAGES = Math.floor((2 ** 31 - 1) / PAGE_ROWS)

/** The element type that a setting gives for a model. */
export function cacheTypeOf(config: ModelConfig, option: CacheTypeOption = 'auto'): CacheType {
  return option === 'auto' ? architecture(config).cacheType : option
}

/** Bytes that all layers keep of one position: keys and values, or f32 columns of short convolutions. */
export function positionBytes(config: ModelConfig, cacheType: CacheType): number {
  const element = cacheType === 'f16' ? 2 : 4
  const bytes = (c: LayerCache): number => (c.kind === 'conv' ? 4 * c.width : 2 * element * c.kvHeads * c.headDim)
  return architecture(config)
    .caches(config)
    .reduce((sum, cache) => sum + bytes(cache), 0)
}

/**
 * Default context length: the model's, or less so that one sequence's cache stays in proportion: a header of some
 * kilobytes can declare a million positions. The option takes more.
 */
export function defaultContext(config: ModelConfig, cacheType: CacheType): number {
  const rotary = ROTARY_PAIRS / architecture(config).rotaryPairs(config)
  return Math.min(
    config.context,
    Math.max(2, Math.floor(Math.min(SEQUENCE_BYTES / positionBytes(config, cacheType), rotary)))
  )
}

/** @throws VeritError VERIT_REQUEST if `cacheBytes` is too small for `context` positions, or for two */
export function cacheSize(config: ModelConfig, weightBytes: number, options: CacheOptions = {}): CacheSize {
  const { slots = 64, cacheBytes, memoryBytes = machineMemory() } = options
  const cacheType = cacheTypeOf(config, options.cacheType)
  const pageBytes = PAGE_ROWS * positionBytes(config, cacheType)
  let context = Math.min(config.context, options.context ?? defaultContext(config, cacheType))
  const asked = Math.floor((cacheBytes ?? Math.max(0, memoryBytes - weightBytes) * CACHE_SHARE) / pageBytes)
  if (cacheBytes !== undefined && asked < pagesOf(context)) {
    if (options.context !== undefined || asked === 0) {
      const bytes = pagesOf(context) * pageBytes
      throw new VeritError('VERIT_REQUEST', {
        field: 'cacheBytes',
        problem:
          `must be at least ${bytes} (cache_mib = ${Math.ceil(bytes / 2 ** 20)} in the configuration of ` +
          `the server): ${context} positions of this model take that`
      })
    }
    context = asked * PAGE_ROWS
  }
  const pages = Math.min(Math.max(asked, pagesOf(context)), slots * pagesOf(context), MOST_PAGES)
  return { cacheType, context, slots, pages }
}

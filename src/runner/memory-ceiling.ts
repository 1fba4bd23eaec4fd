/** How much memory a model's process may have: far more than its model needs, and no more than the machine. */
import { CACHE_SHARE, SEQUENCE_BYTES } from '../engine/cache-size.ts'
import { machineMemory } from '../lib/machine-memory.ts'

const GIB = 2 ** 30
/** f16 weights become f32, and some are held twice while they are repacked. */
const OF_WEIGHTS = 4
/** Threads, JavaScript's heap, prompts under way, the plan's arena. What Node holds at its start comes on top. */
const REST = 2 * GIB

/**
 * @param cacheBytes of the key and value cache that was asked for; default: the most that the engine takes by itself
 *   (engine/cache-size.ts)
 * @param context positions that were asked for: then, without a size of the cache, only the machine's memory is the
 *   ceiling, for what a position takes stands in the file
 * @returns bytes of private writable memory, touched or not. Read before the process is locked: a container's share
 *   stands in files.
 */
export function memoryCeiling(
  fileBytes: number,
  { cacheBytes, context }: { cacheBytes?: number | undefined; context?: number | undefined }
): number {
  const machine = machineMemory()
  if (context !== undefined && cacheBytes === undefined) return machine
  return Math.min(
    OF_WEIGHTS * fileBytes + (cacheBytes ?? Math.max(machine * CACHE_SHARE, SEQUENCE_BYTES)) + REST,
    machine
  )
}

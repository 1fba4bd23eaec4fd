/** How much memory a model's process may have: far more than its model needs, and no more than the machine. */
import { CACHE_SHARE, SEQUENCE_BYTES } from '../engine/cache-size.ts'
import { machineMemory } from '../lib/machine-memory.ts'

const GIB = 2 ** 30
/** f16 weights become f32, and some are held twice while they are repacked. */
const OF_WEIGHTS = 4
/** Threads, JavaScript's heap, running prompts, the plan's arena. Node's own memory at its start is added. */
const REST = 2 * GIB

/**
 * @param cacheBytes of the requested KV cache; default: the engine's maximum (engine/cache-size.ts)
 * @param context requested; then, without a cache size, only the machine's memory is the ceiling, because the file
 *   determines the size of a position
 * @returns bytes of private writable memory, touched or not. Read before the process is locked: a container's limit is
 *   in files.
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

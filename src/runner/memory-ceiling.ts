/** How much memory a model's process may have: far more than its model needs, and no more than the machine. */
import { totalmem } from 'node:os'

const GIB = 2 ** 30
/** f16 weights become f32, and some are held twice while they are repacked. */
const OF_WEIGHTS = 4
/** The most that the cache of one sequence takes where nobody asked for more positions (engine/serving-model.ts). */
const OF_SEQUENCE = 2 * GIB
/** Threads, JavaScript's heap, prompts under way, the plan's arena. What Node holds at its start comes on top. */
const REST = 2 * GIB

/**
 * @param slots sequences side by side; default 8
 * @param context positions that were asked for: then only the machine's memory is the ceiling, for what a position takes stands in the file
 * @returns bytes of private writable memory, touched or not. Read before the process is locked: a container's share stands in files.
 */
export function memoryCeiling(fileBytes: number, { slots = 8, context }: { slots?: number | undefined; context?: number | undefined }): number {
  const share = process.constrainedMemory()
  const machine = share > 0 ? Math.min(share, totalmem()) : totalmem()
  return context === undefined ? Math.min(OF_WEIGHTS * fileBytes + slots * OF_SEQUENCE + REST, machine) : machine
}

/** How much memory this machine, or the share of it that a container has, can give a process. */
import { totalmem } from 'node:os'

let known: number | undefined

/**
 * Bytes. Read once: a container's share stands in files that a locked process can no longer read, so it has to be asked
 * for before the lock.
 */
export function machineMemory(): number {
  return (known ??= Math.min(totalmem() || Infinity, process.constrainedMemory() || Infinity))
}

/** How much memory this machine, or the share of it that a container has, can give a process. */
import { totalmem } from 'node:os'

let known: number | undefined

/** Bytes. Read once, before the lock: a locked process can no longer read a container's limit from its files. */
export function machineMemory(): number {
  return (known ??= Math.min(totalmem() || Infinity, process.constrainedMemory() || Infinity))
}

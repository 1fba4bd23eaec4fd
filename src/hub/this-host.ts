/**
 * An id of this host, for claims in a folder that several hosts may share: process ids are unique only on one host. 16
 * hexadecimal digits of a hash over the name of the host, the boot id and, on Linux, the PID namespace, so that two
 * containers of one machine are two hosts.
 */
import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

export const thisHost: string = createHash('sha256')
  .update(
    JSON.stringify([
      hostname(),
      orNothing(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')),
      orNothing(() => readlinkSync('/proc/self/ns/pid'))
    ])
  )
  .digest('hex')
  .slice(0, 16)

/** Other systems lack these files, and a container may hide them. */
function orNothing(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

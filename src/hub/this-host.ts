/**
 * Which host this is, for claims in a folder that several may share: process numbers mean something only where they are
 * counted. 16 hexadecimal digits of a hash over the name of the host, the boot and, on Linux, the name space of process
 * numbers, so that two containers of one machine are two hosts.
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

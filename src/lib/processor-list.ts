/**
 * Processors as Linux writes them in its files and takes them in its settings
 * (Documentation/admin-guide/cputopology.rst): "0-3,5".
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** As many as Linux can be made for. */
const PROCESSORS = 8192

/** "0-3,8" -> 0, 1, 2, 3, 8: each once, ascending. Undefined for a malformed list, or a processor beyond 8191. */
export function processorList(text: string | undefined): number[] | undefined {
  if (text === undefined || text.length > 40_000 || !/^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/.test(text))
    return undefined
  const listed = new Set<number>()
  for (const part of text.split(',')) {
    const [from, to = from] = part.split('-').map(Number) as [number, number?]
    if (to < from || to >= PROCESSORS) return undefined
    for (let cpu = from; cpu <= to; cpu++) listed.add(cpu)
  }
  return [...listed].sort((a, b) => a - b)
}

/**
 * The processors that this process may run on, and those of the machine. Undefined if unknown. @param root the folder
 * that contains proc and sys, for tests
 */
export function allowedProcessors(root = '/'): { allowed: string | undefined; present: string | undefined } {
  const read = (path: string): string => {
    try {
      return readFileSync(join(root, path), 'utf8').trim()
    } catch {
      return ''
    }
  }
  const list = (text: string | undefined): string | undefined => (processorList(text) === undefined ? undefined : text)
  return {
    allowed: list(/^Cpus_allowed_list:\s*(\S+)/m.exec(read('proc/self/status'))?.[1]),
    present: list(read('sys/devices/system/cpu/present'))
  }
}

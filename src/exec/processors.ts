/**
 * The default number of threads: one per physical core that this process may use, within its processor quota. Two
 * hardware threads of a core share the vector units and the path to memory, so a second one adds almost nothing to
 * decoding and can cost. Read on Linux from /sys/devices/system/cpu
 * (Documentation/ABI/testing/sysfs-devices-system-cpu), /proc/self/status (Cpus_allowed_list) and control groups of
 * both versions (cpu.max; cpu.cfs_quota_us); otherwise each processor counts as a core.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { allowedProcessors, processorList } from '../lib/processor-list.ts'

export interface Processors {
  /** That this process may run on. */
  readonly logical: number
  /** Physical cores of these processors. */
  readonly physical: number
  /** Processors' worth of time that a control group leaves it; undefined for no limit. */
  readonly quota: number | undefined
  /** The result: cores, at most the quota (rounded down, at least 1) and Node's count. */
  readonly threads: number
}

/** @param root the folder that contains proc and sys, for tests @param counted processors by Node's count */
export function processors(root = '/', counted: number = availableParallelism()): Processors {
  const read = (...path: string[]): string | undefined => {
    try {
      return readFileSync(join(root, ...path), 'utf8').trim()
    } catch {
      return undefined
    }
  }
  const allowed = processorList(allowedProcessors(root).allowed) ?? Array.from({ length: counted }, (_, i) => i)
  const cores = new Set(
    allowed.map(cpu => {
      const folder = `sys/devices/system/cpu/cpu${cpu}/topology`
      return read(folder, 'core_cpus_list') ?? read(folder, 'thread_siblings_list') ?? `cpu ${cpu}`
    })
  )
  const quota = quotaOf(read)
  const threads = Math.max(1, Math.min(cores.size, counted, Math.floor(quota ?? Infinity)))
  return { logical: allowed.length, physical: cores.size, quota, threads }
}

/** The smallest limit of the process's control group and those around it. */
function quotaOf(read: (...path: string[]) => string | undefined): number | undefined {
  const limits: number[] = []
  for (const line of (read('proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (path === undefined || path.includes('..') || !(controllers === '' || controllers!.split(',').includes('cpu')))
      continue
    // A container sees its own group at the top, whatever the path in the line.
    for (let folder = path; ; folder = folder.slice(0, folder.lastIndexOf('/'))) {
      if (controllers === '') limits.push(ratio((read('sys/fs/cgroup', folder, 'cpu.max') ?? '').split(' ')))
      else
        limits.push(
          ratio([
            read('sys/fs/cgroup/cpu', folder, 'cpu.cfs_quota_us'),
            read('sys/fs/cgroup/cpu', folder, 'cpu.cfs_period_us')
          ])
        )
      if (folder.lastIndexOf('/') < 0) break
    }
  }
  const smallest = Math.min(...limits)
  return Number.isFinite(smallest) ? smallest : undefined
}

/** Quota divided by period; Infinity for "max", -1 and missing values. */
function ratio([quota, period]: readonly (string | undefined)[]): number {
  const n = Number(quota) / Number(period)
  return Number(quota) > 0 && n > 0 ? n : Infinity
}

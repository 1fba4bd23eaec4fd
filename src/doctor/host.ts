/** Kernel features that contain a process, and settings that leak, read from /proc and /sys. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { note, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

/** Folder names, each a sign of a service that keeps the clock. */
const clockKeepers = [
  'run/systemd/timesync/synchronized',
  'run/chrony/chronyd.pid',
  'run/chronyd.pid',
  'run/ntpd.pid',
  'run/openntpd.sock'
]

/**
 * @param release of the kernel, `os.release()`
 * @param root replaces `/`
 */
export function checkHost(release: string, root = '/'): Finding[] {
  const read = (path: string): string | undefined => {
    try {
      return readFileSync(join(root, path), 'utf8').trim()
    } catch {
      return undefined // not this kernel, or not for this user: both mean that it cannot be told
    }
  }
  const status = read('proc/self/status')
  if (status === undefined)
    return [note('host', 'This system has no /proc: what contains a process here is not checked')]
  return [...containment(release, status, read), ...coreDumps(read), ...memory(read), clock(read)]
}

type Read = (path: string) => string | undefined

function containment(release: string, status: string, read: Read): Finding[] {
  const found: Finding[] = []
  const upgrade = 'Use a kernel that has it: 5.13 or newer, with landlock among its security modules (lsm=)'
  const modules = read('sys/kernel/security/lsm')
  const [major = 0, minor = 0] = release.split('.').map(part => Number.parseInt(part, 10))
  // If the list cannot be read, the runner reports it (sandbox.ts).
  if (modules?.split(',').includes('landlock') === true)
    found.push(ok('host.landlock', `Linux ${release} has Landlock`))
  else if (modules !== undefined)
    found.push(warning('host.landlock', `Linux ${release} runs without Landlock (it has ${modules})`, upgrade))
  else if (major < 5 || (major === 5 && minor < 13))
    found.push(warning('host.landlock', `Linux ${release} has no Landlock`, upgrade))

  const filters = read('proc/sys/kernel/seccomp/actions_avail')
  if (filters !== undefined || /^Seccomp:/m.test(status))
    found.push(ok('host.seccomp', `The kernel has seccomp${filters === undefined ? '' : ` (${filters})`}`))
  else
    found.push(
      warning(
        'host.seccomp',
        'The kernel has no seccomp: system calls of a process cannot be restricted',
        'Use a kernel with CONFIG_SECCOMP_FILTER'
      )
    )

  if (/^NoNewPrivs:\s*1$/m.test(status))
    found.push(ok('host.no-new-privileges', 'This process cannot gain privileges (no_new_privs)'))
  const spaces = read('proc/sys/kernel/unprivileged_userns_clone')
  if (spaces === '1')
    found.push(
      note(
        'host.user-namespaces',
        'Any user may make user namespaces, which many kernel exploits begin with',
        'If nothing else needs them: sysctl kernel.unprivileged_userns_clone=0'
      )
    )
  return found
}

function coreDumps(read: Read): Finding[] {
  const soft = /^Max core file size\s+(\S+)/m.exec(read('proc/self/limits') ?? '')?.[1]
  const pattern = read('proc/sys/kernel/core_pattern') ?? ''
  const says = 'A crash would write the memory of the process to disk, with keys and texts of requests in it'
  // A program after | gets the dump whatever the limit is.
  if (pattern.startsWith('|'))
    return [
      note(
        'host.core',
        `${says}: the kernel hands dumps to ${pattern.slice(1).split(' ')[0]}`,
        'Set LimitCORE=0 and, for systemd-coredump, Storage=none'
      )
    ]
  if (soft === undefined || soft === '0') return [ok('host.core', 'Crashes leave no core dump')]
  return [warning('host.core', says, 'Run the server with `ulimit -c 0` (systemd: LimitCORE=0)')]
}

function memory(read: Read): Finding[] {
  const scope = read('proc/sys/kernel/yama/ptrace_scope')
  if (scope === '0')
    return [
      note(
        'host.ptrace',
        "Processes of one user may read each other's memory",
        'sysctl kernel.yama.ptrace_scope=1, and a user of its own for the server'
      )
    ]
  return []
}

function clock(read: Read): Finding {
  if (clockKeepers.some(path => read(path) !== undefined)) return ok('host.clock', 'A service keeps the clock')
  return note(
    'host.clock',
    'No service that keeps the clock was seen: signed requests, expiries and the times in the audit log depend on it',
    'Run chrony or systemd-timesyncd, here or on the host of this machine'
  )
}

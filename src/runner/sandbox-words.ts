/** The sandbox in words (docs/internals/sandbox.md): what it blocks, what a system lacks, remedies. */
import { howToGetKernels } from '../exec/kernel-files.ts'
import { VeritError } from '../lib/errors.ts'
import { formatBytes } from '../lib/progress.ts'
import type { Sandbox } from './messages.ts'

/** Missing locks in words; empty if there are none. Runner and gateway share a platform, so both can say it. */
export function notLocked(s: Sandbox): string[] {
  if (process.platform !== 'linux') return [`nothing is locked on ${process.platform}`]
  if (!s.native) return ['nothing is locked without the native library']
  const missing: string[] = []
  if (!s.noNewPrivs) missing.push('rights and limits')
  if (s.landlock === 0) missing.push('files and network by Landlock')
  else if (s.landlock < 6)
    missing.push(
      `what Landlock ${s.landlock} does not know (${s.landlock < 4 ? 'TCP, ' : ''}signals and abstract sockets)`
    )
  if (!s.seccomp) missing.push('system calls')
  if (!s.codeRange) missing.push('executable memory')
  if (s.seccomp && !s.noRing) missing.push('operations through io_uring')
  if (!s.ownDescriptors) missing.push('open files and sockets of those who started the server')
  if (s.memoryBytes === 0) missing.push('the size of memory')
  return missing
}

/** @throws VeritError VERIT_SANDBOX where not all is locked */
export function requireLock(s: Sandbox): void {
  const missing = notLocked(s)
  if (missing.length > 0) throw new VeritError('VERIT_SANDBOX', { missing: missing.join('; '), fix: fixFor(s) })
}

/** The remedy. */
export function fixFor(s: Sandbox): string {
  if (process.platform !== 'linux') return 'Serve on Linux, or leave require_sandbox out'
  if (!s.native)
    return (
      `The native kernels lock the process: ${howToGetKernels()}, and unset VERIT_EXECUTOR. Or leave ` +
      'require_sandbox out'
    )
  if (!s.ownDescriptors && notLocked({ ...s, ownDescriptors: true }).length === 0) {
    return (
      `Let the runner start ${process.execPath} a second time: is it still there, and may it be run? Or ` +
      'leave require_sandbox out'
    )
  }
  return (
    'Use Linux 6.12 or newer with Landlock and seccomp switched on (a container must allow both), or leave ' +
    'require_sandbox out'
  )
}

/** One line for a banner or a log. */
export function describeSandbox(s: Sandbox): string {
  const missing = notLocked(s)
  if (missing.length === 0)
    return (
      `locked: no files, network, processes or new code (Landlock ${s.landlock}, seccomp); at most ` +
      `${formatBytes(s.memoryBytes)} of memory`
    )
  return `not locked: ${missing.join('; ')}`
}

/**
 * The runner's lock: what the process gives up for good before it reads a byte of the model (native/sandbox.c;
 * docs/sandbox.md). Runs in the model's process only.
 */
import { createHash, randomBytes } from 'node:crypto'
import { addon } from '../exec/native.ts'
import { VeritError } from '../lib/errors.ts'
import type { Sandbox } from './messages.ts'
import { wasRestarted } from './restarted.ts'
import { fixFor, notLocked } from './sandbox-words.ts'

export interface LockOptions {
  /** Private writable memory that the process may add to what it has now, in bytes (RLIMIT_DATA); 0: no ceiling. */
  memoryBytes: number
  /** Whether the list of system calls is locked too. Default true; a test leaves it out to see what Landlock alone stops. */
  seccomp?: boolean
  /** Whether a lock that is not complete is an error. Default false. */
  required?: boolean
}

/**
 * Locks this process, all its threads and those it will start. It cannot be undone. What Node would read from files later must be loaded before.
 * @throws VeritError VERIT_SANDBOX when the lock is required and not complete
 */
export function lockProcess({ memoryBytes, seccomp = true, required = false }: LockOptions): Sandbox {
  warmUp()
  const reached = addon()?.lock(memoryBytes, seccomp)
  const sandbox: Sandbox = {
    native: reached !== undefined, noNewPrivs: reached?.noNewPrivs === 1, landlock: reached?.landlock ?? 0, seccomp: reached?.seccomp === 1,
    codeRange: reached?.codeRange === 1, noRing: reached?.noRing === 1,
    ownDescriptors: reached !== undefined && wasRestarted(),
    memoryBytes: reached?.memory === 1 ? memoryBytes : 0,
  }
  const missing = notLocked(sandbox)
  if (required && missing.length > 0) throw new VeritError('VERIT_SANDBOX', { missing: missing.join('; '), fix: fixFor(sandbox) })
  return sandbox
}

/** The first use of these reads files or asks the system what it no longer answers. */
function warmUp(): void {
  createHash('sha256').update(randomBytes(8)).digest()
  process.stderr.writable satisfies boolean
  process.memoryUsage.rss()
}

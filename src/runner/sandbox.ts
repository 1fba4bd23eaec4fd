/**
 * The runner's lock: rights that the process gives up for good before it reads a byte of the model (native/sandbox.c;
 * docs/internals/sandbox.md). Runs in the model's process only.
 */
import { createHash, randomBytes } from 'node:crypto'
import { addon } from '../exec/native.ts'
import type { Sandbox } from './messages.ts'
import { wasRestarted } from './restarted.ts'

export interface LockOptions {
  /** Private writable memory that the process may add, in bytes (RLIMIT_DATA); 0: no ceiling. */
  memoryBytes: number
  /** Bytes of its present memory that count as part of `memoryBytes`. Default 0. */
  reserved?: number
  /**
   * Whether the system call filter is installed too. Default true; a test leaves it out to see what Landlock alone
   * stops.
   */
  seccomp?: boolean
  /**
   * Whether this is a user's command, which also writes to files that are open, sets up its terminal, waits for its
   * children and ties threads to cores. Default false.
   */
  command?: boolean
}

/**
 * Locks this process, all its threads and those it will start. It cannot be undone. Files that Node would read later
 * must be loaded before.
 */
export function lockProcess({ memoryBytes, reserved = 0, seccomp = true, command = false }: LockOptions): Sandbox {
  warmUp()
  const reached = addon()?.lock(memoryBytes === 0 ? 0 : Math.max(1, memoryBytes - reserved), seccomp, command)
  return {
    native: reached !== undefined,
    noNewPrivs: reached?.noNewPrivs === 1,
    landlock: reached?.landlock ?? 0,
    seccomp: reached?.seccomp === 1,
    codeRange: reached?.codeRange === 1,
    noRing: reached?.noRing === 1,
    ownDescriptors: reached !== undefined && wasRestarted(),
    memoryBytes: reached?.memory === 1 ? memoryBytes : 0
  }
}

/** The first use of these reads files or makes system calls that are refused later. */
function warmUp(): void {
  createHash('sha256').update(randomBytes(8)).digest()
  process.stderr.writable satisfies boolean
  process.memoryUsage.rss()
}

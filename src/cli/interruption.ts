/**
 * Signals that ask a command to end while it has something to put away: Ctrl-C (SIGINT), Ctrl-\ (SIGQUIT), SIGTERM,
 * and SIGHUP of a terminal or connection that is gone.
 */
import { constants as files, readFileSync, readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { basename } from 'node:path'

/** Under npm one Ctrl-C comes twice, from the terminal and from npm, within some milliseconds. */
export const SAME_SIGNAL_MS = 300

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP'] as const
const INTERRUPTED = 128 + constants.signals.SIGINT

/**
 * Runs `work`, and calls `interrupt` at each such signal until it settles; signals within SAME_SIGNAL_MS count as one.
 * An interrupted command ends with 130; 143 after SIGTERM, 131 after SIGQUIT, 129 after SIGHUP (128 plus the number of
 * the signal). Under nohup SIGHUP has no effect.
 */
export async function interruptible<T>(interrupt: () => void, work: () => Promise<T>): Promise<T> {
  let other: NodeJS.Signals | undefined
  let last = -Infinity
  const ended = (status: number): void => {
    if (status === INTERRUPTED) process.exitCode = 128 + constants.signals[other!]
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGHUP' && underNohup()) return
    if (signal !== 'SIGINT' && other === undefined) {
      other = signal
      process.once('exit', ended)
    }
    const now = performance.now()
    const again = now - last < SAME_SIGNAL_MS
    last = now
    if (!again) interrupt()
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  try {
    return await work()
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}

/**
 * Whether nohup started this process. It ignores SIGHUP for the program it starts, but Node sets that back before any
 * code runs (PlatformInit in node.cc), so that no process can tell. Two signs are left:
 * - shells put the path of the command they start into the variable `_`, and nohup hands it on;
 * - on Linux, GNU nohup replaces a terminal as standard input by /dev/null, opened for writing only (coreutils,
 *   nohup.c).
 */
function underNohup(): boolean {
  if (basename(process.env['_'] ?? '') === 'nohup') return true
  try {
    const [, octal] = /^flags:\s+([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/0', 'utf8'))!
    const flags = Number.parseInt(octal!, 8)
    return readlinkSync('/proc/self/fd/0') === '/dev/null' && (flags & 3) === files.O_WRONLY
  } catch {
    return false
  }
}

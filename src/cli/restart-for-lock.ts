/**
 * Starts a command that will lock itself (lock-command.ts) a second time, so that the lock is complete. It loads
 * little, because everything is loaded twice.
 */
import { readdirSync, readlinkSync } from 'node:fs'
import { addon } from '../exec/native.ts'
import { NO_DEBUGGER } from '../lib/process-protections.ts'

const STANDARD_STREAMS = 3

/**
 * Runs this command line again in place of this process, so that the sandbox is complete: without the io_uring of
 * Node's event loop, whose operations bypass the system call filter, and without the thread that waits to open Node's
 * debugger, which no sandbox covers. Returns if neither exists, if a restart is impossible, or if an argument names a
 * descriptor, which would be closed. Call before anything is read.
 */
export function restartForLock(words: readonly string[]): void {
  const asItIs = words.some(word => /^(-h|--help)$|^\/(dev|proc\/self)\/fd\//.test(word))
  if (process.platform !== 'linux' || process.channel !== undefined || asItIs) return
  const closed = process.execArgv.includes(NO_DEBUGGER)
  if (!closed || hasRing()) addon()?.restart(['', ...(closed ? [] : [NO_DEBUGGER])], STANDARD_STREAMS)
}

function hasRing(): boolean {
  try {
    return readdirSync('/proc/self/fd').some(fd => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).includes('[io_uring]')
      } catch {
        return false // the folder itself, closed by now
      }
    })
  } catch {
    return false
  }
}

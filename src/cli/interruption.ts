/** Ctrl-C, and a request to end (SIGTERM), while a command has something to put away. */

/** Under npm one Ctrl-C comes twice, from the terminal and from npm, within some milliseconds. */
export const SAME_SIGNAL_MS = 300

/**
 * Runs `work`, and calls `interrupt` at each SIGINT or SIGTERM until it is settled; what follows another within SAME_SIGNAL_MS is the same one.
 * The status of a command that was interrupted is 130; after SIGTERM it becomes 143, as shells and service managers expect (128 and the number of the signal).
 */
export async function interruptible<T>(interrupt: () => void, work: () => Promise<T>): Promise<T> {
  let terminated = false, last = -Infinity
  const ended = (status: number): void => {
    if (terminated && status === 130) process.exitCode = 143
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGTERM' && !terminated) {
      terminated = true
      process.once('exit', ended)
    }
    const now = performance.now(), again = now - last < SAME_SIGNAL_MS
    last = now
    if (!again) interrupt()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  try {
    return await work()
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

/** Ctrl-C, and a request to end (SIGTERM), while a command has something to put away. */

/**
 * Runs `work`, and calls `interrupt` at each SIGINT or SIGTERM until it is settled. Under npm one Ctrl-C comes twice.
 * The status of a command that was interrupted is 130; after SIGTERM it becomes 143, as shells and service managers expect (128 and the number of the signal).
 */
export async function interruptible<T>(interrupt: () => void, work: () => Promise<T>): Promise<T> {
  let terminated = false
  const ended = (status: number): void => {
    if (terminated && status === 130) process.exitCode = 143
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGTERM' && !terminated) {
      terminated = true
      process.once('exit', ended)
    }
    interrupt()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
  try {
    return await work()
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}

/**
 * How long one round of this thread's event loop takes, in processor time of the thread: other programs on the machine
 * do not count. The system counts in steps of up to 4 ms.
 */

/** The longest that the thread computed between two rounds while the work went on, in ms. */
export async function longestHold(work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let going = true
  let before = process.threadCpuUsage()
  const look = (): void => {
    const { user, system } = process.threadCpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
    before = process.threadCpuUsage()
    if (going) setImmediate(look)
  }
  setImmediate(look)
  try {
    await work()
  } finally {
    going = false
  }
  return longest
}

/**
 * A hold below the ceiling, or else the least of some tries: a collection of garbage, or code that is not compiled yet,
 * may fall into any of them.
 */
export async function leastHold(tries: number, ceiling: number, work: () => Promise<unknown>): Promise<number> {
  let least = Infinity
  for (let i = 0; i < tries && least >= ceiling; i++) least = Math.min(least, await longestHold(work))
  return least
}

/**
 * Tells the log when the clock falls behind the time of the store, and when it has caught up. It changes nothing:
 * signatures.ts refuses.
 */
import type { Log } from '../lib/log.ts'
import type { StoreClock } from '../store/store.ts'

const EVERY_MS = 5000
const BEHIND =
  'the clock is behind the latest time that the store has seen: ' +
  'signed requests are refused until it has caught up (docs/internals/keys.md)'
const CAUGHT_UP = 'the clock has caught up with the time of the store: signed requests are answered'

/** @param toleranceMs by how much the clock may be behind while signed requests are answered */
export function reportClock(clock: StoreClock, toleranceMs: number, log: Log): Disposable {
  let late = false
  const look = (): void => {
    const behind = clock.behind()
    const isLate = behind > toleranceMs
    if (isLate && !late) {
      const seen = new Date(Date.now() + behind).toISOString()
      log.warn({ behindSeconds: Math.ceil(behind / 1000), latestTime: seen }, BEHIND)
    } else if (late && !isLate) log.info(CAUGHT_UP)
    late = isLate
  }
  look()
  const timer = setInterval(look, EVERY_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/**
 * Loaded into a server by `--import`: its clock is ahead by as many ms as the file VERIT_TEST_CLOCK says, as an
 * operator's or a time server's mistake would have it. What runs each minute runs three times a second, so that a test
 * need not wait for it.
 */
import { readFileSync } from 'node:fs'

const file = process.env['VERIT_TEST_CLOCK'] ?? ''
const Real = Date
const MINUTE = 60_000
const realInterval = setInterval
let shift = 0
let read = -Infinity

/** Looked at again after 10 ms. */
function shiftNow(): number {
  if (performance.now() - read > 10) {
    shift = Number(readFileSync(file, 'utf8'))
    read = performance.now()
  }
  return shift
}

class ShiftedDate extends Real {
  constructor(...given: unknown[]) {
    super(...((given.length === 0 ? [ShiftedDate.now()] : given) as [number]))
  }

  static override now(): number {
    return Real.now() + shiftNow()
  }
}

globalThis.Date = ShiftedDate as DateConstructor
globalThis.setInterval = ((work: () => void, ms: number) =>
  realInterval(work, ms === MINUTE ? 300 : ms)) as typeof setInterval

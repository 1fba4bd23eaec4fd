/** At which hours of the week (UTC) a key is used. */

const HOURS = 168
const HOUR_MS = 3_600_000
/** A week later, so much of its weight is left: half after four weeks. */
const WEEKLY = 2 ** -0.25

export interface WeekNumbers {
  readonly hours: readonly number[]
  /** Weeks since 1970 of the last decay. */
  readonly week: number
  /** Days on which the key was used, and the last of them, since 1970. */
  readonly days: number
  readonly lastDay: number
}

export class Week {
  #hours: number[]
  #week: number
  #days: number
  #lastDay: number

  constructor(from?: WeekNumbers) {
    this.#hours = from === undefined ? Array<number>(HOURS).fill(0) : [...from.hours]
    this.#week = from?.week ?? 0
    this.#days = from?.days ?? 0
    this.#lastDay = from?.lastDay ?? -1
  }

  /** Days on which the key was used. */
  get days(): number {
    return this.#days
  }

  get total(): number {
    return this.#hours.reduce((sum, n) => sum + n, 0)
  }

  /** @param hour hours since 1970 */
  add(hour: number, requests: number): void {
    const week = Math.floor(hour / HOURS)
    if (week > this.#week) {
      const left = WEEKLY ** Math.min(100, week - this.#week)
      this.#hours = this.#hours.map(n => n * left)
      this.#week = week
    }
    this.#hours[hour % HOURS]! += requests
    const day = Math.floor(hour / 24)
    if (day > this.#lastDay) this.#days++
    this.#lastDay = Math.max(day, this.#lastDay)
  }

  /** Share of the requests in this hour of the week and its neighbours; 1 if there were none at all. */
  share(hour: number): number {
    const total = this.total
    if (total === 0) return 1
    return [-1, 0, 1].reduce((sum, d) => sum + this.#hours[(hour + d + HOURS) % HOURS]!, 0) / total
  }

  toJSON(): WeekNumbers {
    return {
      hours: this.#hours.map(n => Math.round(1000 * n) / 1000),
      week: this.#week,
      days: this.#days,
      lastDay: this.#lastDay
    }
  }
}

export const hourOf = (at: number): number => Math.floor(at / HOUR_MS)
export const hoursOfWeek = HOURS

/**
 * Detects unusual use per key: compares it with the key's history, and with patterns of attack (rules.ts). It decides
 * nothing about a request; with `throttle`, a key with an alert is slowed down for a while. Time is that of the
 * observations.
 */
import { randomInt } from 'node:crypto'
import { KeyHistory } from './key-history.ts'
import type { HistoryNumbers } from './key-history.ts'
import type { Alert, Observation } from './observation.ts'
import { rules } from './rules.ts'

/** One alert of a rule and key in so long. */
export const coolDownMs = 900_000
const THROTTLED_MS = 600_000
const THROTTLED_FACTOR = 0.1

export interface WatchOptions {
  /** Whether a key that draws an alert is slowed down. Default false. */
  throttle?: boolean
  /** Keys remembered, at most about 25 KB each; the one that was not used for longest is forgotten. Default 5,000. */
  keys?: number
  /** Salt of hashes, 32 bits. Default random. */
  salt?: number
}

export class Watch {
  #throttle: boolean
  #maxKeys: number
  #salt: number
  /** Least recently used first. */
  #keys = new Map<string, KeyHistory>()
  /** By key: when each rule spoke last. */
  #spoke = new Map<string, Map<string, number>>()
  #slow = new Map<string, number>()

  constructor(options: WatchOptions = {}) {
    this.#throttle = options.throttle ?? false
    this.#maxKeys = options.keys ?? 5000
    this.#salt = options.salt ?? randomInt(2 ** 32)
  }

  /** Counts a request and gives the alerts it draws. */
  observe(o: Observation): Alert[] {
    const key = this.#keys.get(o.keyId) ?? new KeyHistory(o.at, this.#salt)
    this.#keys.delete(o.keyId)
    this.#keys.set(o.keyId, key)
    if (this.#keys.size > this.#maxKeys) this.#forget(this.#keys.keys().next().value!)
    key.add(o)
    const spoke = this.#spoke.get(o.keyId) ?? new Map<string, number>()
    const alerts: Alert[] = []
    for (const { name, message, check } of rules) {
      const before = spoke.get(name)
      if (before !== undefined && key.last - before < coolDownMs) continue
      const detail = check(key)
      if (detail === undefined) continue
      spoke.set(name, key.last)
      alerts.push({ keyId: o.keyId, rule: name, message, detail, at: key.last })
    }
    if (alerts.length > 0) {
      this.#spoke.set(o.keyId, spoke)
      if (this.#throttle) this.#slow.set(o.keyId, key.last + THROTTLED_MS)
    }
    return alerts
  }

  /** Factor of a key's rates: 1, or 0.1 for ten minutes after its last alert if `throttle` is on. */
  factor(keyId: string, now: number): number {
    const until = this.#slow.get(keyId)
    if (until === undefined) return 1
    if (now < until) return THROTTLED_FACTOR
    this.#slow.delete(keyId)
    return 1
  }

  /** Baselines by key; without prompts, sketches or alerts. */
  baselines(): Record<string, HistoryNumbers> {
    return Object.fromEntries([...this.#keys].map(([id, history]) => [id, history.toJSON()]))
  }

  /** Continues from another process; keys that were seen already keep theirs. */
  restore(baselines: Readonly<Record<string, HistoryNumbers>>): void {
    const oldest = Object.entries(baselines)
      .sort(([, a], [, b]) => a.last - b.last)
      .slice(-this.#maxKeys)
    for (const [id, numbers] of oldest)
      if (!this.#keys.has(id)) this.#keys.set(id, new KeyHistory(numbers.last, this.#salt, numbers))
  }

  #forget(keyId: string): void {
    this.#keys.delete(keyId)
    this.#spoke.delete(keyId)
    this.#slow.delete(keyId)
  }
}

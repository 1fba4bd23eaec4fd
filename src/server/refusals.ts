/**
 * Refused requests, for the audit log: each is an entry, until one address (or key) has had its share of a minute; from then on they are counted and
 * told together, so that nobody can fill the disk with refusals. Valid keys of the same address go on working.
 */
import type { NewAuditEntry } from '../audit/entry.ts'

const MINUTE_MS = 60_000
/** Addresses counted at once; beyond, they share one count. */
const MOST_SOURCES = 100_000
const OTHERS = '(others)'

interface Count {
  since: number
  refused: number
}

export class Refusals {
  #counts = new Map<string, Count>()
  #perMinute: number
  #append: (entry: NewAuditEntry) => Promise<unknown>
  #timer: NodeJS.Timeout

  /** @param perMinute entries of one source in a minute @param append adds an entry to the audit log */
  constructor(perMinute: number, append: (entry: NewAuditEntry) => Promise<unknown>) {
    this.#perMinute = perMinute
    this.#append = append
    this.#timer = setInterval(() => void this.summarize(Date.now() - MINUTE_MS), MINUTE_MS / 4).unref()
  }

  /** Counts a refusal; whether it gets an entry of its own. @param source an address, or a key's id */
  count(source: string, now = Date.now()): boolean {
    const known = this.#counts.has(source) || this.#counts.size < MOST_SOURCES ? source : OTHERS
    const count = this.#counts.get(known) ?? { since: now, refused: 0 }
    this.#counts.set(known, count)
    return ++count.refused <= this.#perMinute
  }

  /** Tells and forgets the counts that began before a time. What cannot be told now is kept for the next round: the log may have room again. */
  async summarize(before: number): Promise<void> {
    const now = Date.now()
    for (const [remote, { since, refused }] of this.#counts) {
      if (since > before) continue
      this.#counts.delete(remote)
      if (refused <= this.#perMinute) continue
      const seconds = Math.max(1, Math.round((now - since) / 1000))
      try {
        await this.#append({ type: 'auth.summary', remote, refused: refused - this.#perMinute, seconds })
      } catch {
        const newer = this.#counts.get(remote)
        this.#counts.set(remote, { since, refused: refused + (newer?.refused ?? 0) })
        return // whoever asks for something that must be recorded is told; this is not the place to end the process
      }
    }
  }

  /** Tells all counts. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.summarize(Infinity)
  }
}

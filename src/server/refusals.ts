/**
 * Refused requests, for the audit log and the log: each has an entry and a line, up to a limit per source and minute,
 * and one for all unauthenticated sources. Beyond it they are counted in summaries. So every refusal is in the log, and
 * nobody can fill the disk with them.
 *
 * Addresses are free (address-group.ts), so the number of summaries is limited too: the largest sources get one each,
 * and the rest are added up by /16 (IPv4) or /32 (IPv6). Keys are not free, and have their own limit.
 */
import type { NewAuditEntry } from '../audit/entry.ts'
import type { Log } from '../lib/log.ts'
import { addressGroup, wideGroup } from './address-group.ts'

const MINUTE_MS = 60_000
/** Maximum number of counted sources; beyond it they are counted by /16 or /32, and beyond twice as many in one. */
const MOST_SOURCES = 10_000
/** Summaries of one round, of which there are four per minute: single sources, blocks, and one for the rest. */
const MOST_SUMMARIES = 50
const REST = '(others)'

export interface RefusalLimits {
  /** Entries of one source (an address, a key) in a minute. */
  readonly perSource: number
  /** Entries, and lines of the log, of all strangers together in a minute. */
  readonly all: number
}

interface Count {
  /** A time of `performance.now()`, as every time here: it advances even when the clock is set back. */
  since: number
  /** Refusals with an entry of their own, and without. */
  entries: number
  more: number
}

/** A number that may be reached in each minute. */
class MinuteShare {
  readonly #most: number
  #since = -Infinity
  #taken = 0

  constructor(most: number) {
    this.#most = most
  }

  take(now: number): boolean {
    if (now - this.#since >= MINUTE_MS || now < this.#since) {
      this.#since = now
      this.#taken = 0
    }
    return ++this.#taken <= this.#most
  }
}

export class Refusals {
  readonly #strangers = new Map<string, Count>()
  readonly #keys = new Map<string, Count>()
  readonly #limits: RefusalLimits
  readonly #entries: MinuteShare
  readonly #lines: MinuteShare
  readonly #append: (entry: NewAuditEntry) => Promise<unknown>
  readonly #log: Pick<Log, 'info'>
  readonly #timer: NodeJS.Timeout
  #unlogged = 0

  /** @param append adds an entry to the audit log */
  constructor(limits: RefusalLimits, append: (entry: NewAuditEntry) => Promise<unknown>, log: Pick<Log, 'info'>) {
    this.#limits = limits
    this.#entries = new MinuteShare(limits.all)
    this.#lines = new MinuteShare(limits.all)
    this.#append = append
    this.#log = log
    this.#timer = setInterval(() => void this.summarize(performance.now() - MINUTE_MS), MINUTE_MS / 4).unref()
  }

  /** Counts a refusal of a request without a valid key; returns whether it gets its own entry. */
  ofStranger(remote: string, now = performance.now()): boolean {
    const count = countOf(this.#strangers, this.#nameOf(remote), now)
    const own = count.entries < this.#limits.perSource && this.#entries.take(now)
    return add(count, own)
  }

  /** Counts a refusal of a request with a valid key; returns whether it gets its own entry. */
  ofKey(id: string, now = performance.now()): boolean {
    const count = countOf(this.#keys, id, now)
    return add(count, count.entries < this.#limits.perSource)
  }

  /** Whether a refused request gets its own line in the log. @param counted it has no entry of its own */
  line(counted: boolean, now = performance.now()): boolean {
    const own = !counted && this.#lines.take(now)
    if (!own) this.#unlogged++
    return own
  }

  /** Sources that are counted. */
  get sources(): number {
    return this.#strangers.size + this.#keys.size
  }

  #nameOf(remote: string): string {
    const source = addressGroup(remote)
    if (this.#strangers.has(source) || this.#strangers.size < MOST_SOURCES) return source
    const wide = wideGroup(remote)
    return this.#strangers.has(wide) || this.#strangers.size < 2 * MOST_SOURCES ? wide : REST
  }

  /** Reports and resets counts that began before a time. Counts that cannot be written wait for the next round. */
  async summarize(before: number): Promise<void> {
    const now = performance.now()
    if (this.#unlogged > 0) {
      this.#log.info({ refused: this.#unlogged }, 'more requests were refused')
      this.#unlogged = 0
    }
    await this.#tell(this.#keys, takeDue(this.#keys, before), now)
    await this.#tell(this.#strangers, fewer(takeDue(this.#strangers, before)), now)
  }

  async #tell(counts: Map<string, Count>, due: ReadonlyMap<string, Count>, now: number): Promise<void> {
    const left = new Map(due)
    try {
      for (const [remote, { since, more }] of due) {
        const seconds = Math.max(1, Math.round((now - since) / 1000))
        await this.#append({ type: 'auth.summary', remote, refused: more, seconds })
        left.delete(remote)
      }
    } catch {
      // Callers whose request must be recorded get the error; ending the process is not decided here.
      for (const [remote, count] of left) merge(counts, remote, count)
    }
  }

  /** Tells all counts. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.summarize(Infinity)
  }
}

function countOf(counts: Map<string, Count>, name: string, now: number): Count {
  const known = counts.get(name)
  if (known !== undefined) return known
  const count = { since: now, entries: 0, more: 0 }
  counts.set(name, count)
  return count
}

function add(count: Count, own: boolean): boolean {
  if (own) count.entries++
  else count.more++
  return own
}

/** Removes the counts that began before a time, and gives those with something to tell. */
function takeDue(counts: Map<string, Count>, before: number): Map<string, Count> {
  const due = new Map<string, Count>()
  for (const [name, count] of counts) {
    if (count.since > before) continue
    counts.delete(name)
    if (count.more > 0) due.set(name, count)
  }
  return due
}

/** The largest by themselves, the next by block, the rest together. */
function fewer(due: ReadonlyMap<string, Count>): ReadonlyMap<string, Count> {
  const told = new Map<string, Count>()
  const blocks = new Map<string, Count>()
  for (const [i, [name, count]] of largestFirst(due).entries()) {
    if (i < MOST_SUMMARIES) told.set(name, count)
    else merge(blocks, wideGroup(name.replace(/\/\d+$/, '')), count)
  }
  for (const [i, [name, count]] of largestFirst(blocks).entries()) merge(told, i < MOST_SUMMARIES ? name : REST, count)
  return told
}

const largestFirst = (counts: ReadonlyMap<string, Count>): [string, Count][] =>
  [...counts].sort(([, a], [, b]) => b.more - a.more)

function merge(counts: Map<string, Count>, name: string, { since, entries, more }: Count): void {
  const known = counts.get(name)
  if (known === undefined) counts.set(name, { since, entries, more })
  else {
    known.since = Math.min(known.since, since)
    known.entries += entries
    known.more += more
  }
}

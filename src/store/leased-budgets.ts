/**
 * Budgets without a disk wait for most requests: tokens are reserved in the database slightly ahead, and handed out
 * from memory. They are durable since their reservation, so nothing can be overshot; a crash costs the tokens reserved
 * ahead, at most 1 % of the smaller budget, besides requests that were running or have just ended. Used tokens are
 * reported to the database five times a second; an idle key returns what is ahead. Small budgets are counted in the
 * database alone, request by request: there, a token for another gateway is worth more than time.
 */
import { invariant } from '../lib/errors.ts'
import { periodsOf } from './budgets.ts'
import type { BudgetAnswer, BudgetLimits, BudgetStore, BudgetUsage, Reservation } from './store.ts'

/** Requests like the one that asks, that are reserved ahead. */
const AHEAD = 8
/** Part of the smaller budget that may be reserved ahead. */
const SHARE = 100
/** Smallest budget with reservations ahead. */
const LARGE = 10_000
const TELL_MS = 200

type Refused = Extract<BudgetAnswer, { ok: false }>

interface Waiting {
  readonly tokens: number
  readonly resolve: (answer: BudgetAnswer) => void
  readonly reject: (e: unknown) => void
}

/**
 * One gateway's part of a key's budgets of one day. Each token that the database has reserved for it is in one of three
 * places.
 */
interface Lease {
  readonly keyId: string
  readonly day: string
  readonly month: string
  readonly at: Date
  limits: BudgetLimits
  /** Ahead of need. */
  free: number
  /** With running requests. */
  out: number
  /** Used, and not told yet. */
  used: number
  /** The last state from the database, updated by later reports. */
  usage: BudgetUsage
  waiting: Waiting[]
  busy: boolean
  lastUse: number
}

const NONE = { used: 0, reserved: 0 }

export class LeasedBudgets implements BudgetStore {
  #inner: BudgetStore
  #leases = new Map<string, Lease>()
  #handedOut = new WeakMap<Reservation, Lease>()
  #settled = new WeakSet<Reservation>()
  #timer: NodeJS.Timeout | undefined

  /** @param inner counts in the database, each call durably */
  constructor(inner: BudgetStore) {
    this.#inner = inner
  }

  async reserve(keyId: string, tokens: number, limits: BudgetLimits, at: Date): Promise<BudgetAnswer> {
    invariant(Number.isSafeInteger(tokens) && tokens >= 0, 'a reservation is a whole number of tokens')
    if (mostAhead(limits) === 0) return this.#inner.reserve(keyId, tokens, limits, at)
    const lease = this.#leaseOf(keyId, limits, at)
    if (lease.limits.tokensPerDay !== limits.tokensPerDay || lease.limits.tokensPerMonth !== limits.tokensPerMonth) {
      lease.limits = limits
      await this.#tell(lease, 0) // what was reserved under other limits is not handed out under these
      return this.reserve(keyId, tokens, limits, at)
    }
    if (!lease.busy && lease.free >= tokens && lease.free > 0) return this.#grant(lease, tokens)
    const { promise, resolve, reject } = Promise.withResolvers<BudgetAnswer>()
    lease.waiting.push({ tokens, resolve, reject })
    if (!lease.busy) void this.#serve(lease)
    return promise
  }

  async settle(reservation: Reservation, used: number): Promise<void> {
    invariant(Number.isSafeInteger(used) && used >= 0, 'what was used is a whole number of tokens')
    const lease = this.#handedOut.get(reservation)
    if (lease === undefined) return this.#inner.settle(reservation, used) // not from memory
    if (this.#settled.has(reservation)) return
    this.#settled.add(reservation)
    const spent = Math.min(used, reservation.tokens)
    lease.out -= reservation.tokens
    lease.free += reservation.tokens - spent
    lease.used += spent
    this.#schedule()
  }

  count(keyId: string, tokens: number, at: Date): Promise<void> {
    return this.#inner.count(keyId, tokens, at)
  }

  async usage(keyId: string, at: Date): Promise<BudgetUsage> {
    await Promise.all(
      [...this.#leases.values()]
        .filter(l => l.keyId === keyId)
        .map(lease => this.#tell(lease, isIdle(lease) ? 0 : mostAhead(lease.limits)))
    )
    return this.#inner.usage(keyId, at)
  }

  /** Gives back all that is ahead of need. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await Promise.all([...this.#leases.values()].map(lease => this.#tell(lease, 0)))
    this.#leases.clear()
  }

  #leaseOf(keyId: string, limits: BudgetLimits, at: Date): Lease {
    const { day, month } = periodsOf(at)
    const found = this.#leases.get(idOf(keyId, day))
    if (found !== undefined) return found
    const lease: Lease = {
      keyId,
      day,
      month,
      at,
      limits,
      free: 0,
      out: 0,
      used: 0,
      usage: { day: NONE, month: NONE },
      waiting: [],
      busy: false,
      lastUse: performance.now()
    }
    this.#leases.set(idOf(keyId, day), lease)
    this.#schedule()
    return lease
  }

  #grant(lease: Lease, tokens: number): BudgetAnswer {
    lease.free -= tokens
    lease.out += tokens
    lease.lastUse = performance.now()
    const { keyId, day, month } = lease
    const reservation = Object.freeze({ keyId, tokens, day, month })
    this.#handedOut.set(reservation, lease)
    return { ok: true, reservation, usage: shown(lease) }
  }

  /** Serves all that wait, in order: together where the budget has room for it, else one by one, to the last token. */
  async #serve(lease: Lease): Promise<void> {
    lease.busy = true
    let batch: Waiting[] = []
    try {
      while (lease.waiting.length > 0) {
        batch = lease.waiting.splice(0)
        const full = await this.#reserveAhead(lease, batch)
        for (let w = batch.shift(); w !== undefined; w = batch.shift()) {
          try {
            w.resolve(await this.#serveOne(lease, w.tokens, full))
          } catch (e) {
            w.reject(e)
            throw e
          }
        }
      }
    } catch (e) {
      for (const w of [...batch, ...lease.waiting.splice(0)]) w.reject(e)
    } finally {
      lease.busy = false
    }
  }

  /** Returns the refusal if there is no room for all tokens: then all available ones have been reserved. */
  async #reserveAhead(lease: Lease, batch: readonly Waiting[]): Promise<Refused | undefined> {
    const asked = batch.reduce((n, w) => n + w.tokens, 0)
    const ahead = Math.min(AHEAD * Math.ceil(asked / batch.length), mostAhead(lease.limits))
    const wanted = asked + ahead - lease.free
    if (wanted <= 0) return undefined
    const refused = await this.#ask(lease, wanted)
    if (refused === undefined || refused.left === 0) return refused
    return (await this.#ask(lease, refused.left)) ?? { ...refused, left: 0 }
  }

  /** @param full the database's latest state of a full budget */
  async #serveOne(lease: Lease, tokens: number, full: Refused | undefined): Promise<BudgetAnswer> {
    if (lease.free < tokens || lease.free === 0) {
      const more = Math.max(0, tokens - lease.free)
      const refused = full !== undefined && more > full.left ? full : await this.#ask(lease, more)
      if (refused !== undefined)
        return { ok: false, window: refused.window, left: refused.left + lease.free, usage: shown(lease) }
    }
    return this.#grant(lease, tokens)
  }

  /** Reserves more in the database; returns the refusal if the budget is full. */
  async #ask(lease: Lease, tokens: number): Promise<Refused | undefined> {
    const answer = await this.#inner.reserve(lease.keyId, tokens, lease.limits, lease.at)
    lease.usage = answer.usage
    if (!answer.ok) return answer
    lease.free += tokens
    return undefined
  }

  /**
   * Reports used tokens to the database, and returns those ahead except `keep`. A failure leaves both reserved there:
   * more is counted then, not less.
   */
  async #tell(lease: Lease, keep: number): Promise<void> {
    const { used } = lease
    const free = Math.max(0, lease.free - keep)
    lease.used = 0
    lease.free -= free
    if (used + free === 0) return
    const after = (w: { used: number; reserved: number }): { used: number; reserved: number } => ({
      used: w.used + used,
      reserved: w.reserved - used - free
    })
    lease.usage = { day: after(lease.usage.day), month: after(lease.usage.month) }
    await this.#inner.settle(
      Object.freeze({ keyId: lease.keyId, tokens: used + free, day: lease.day, month: lease.month }),
      used
    )
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.#round(), TELL_MS).unref()
  }

  async #round(): Promise<void> {
    for (const [id, lease] of this.#leases) {
      const rests = isIdle(lease) && performance.now() - lease.lastUse >= TELL_MS
      await this.#tell(lease, rests ? 0 : mostAhead(lease.limits)).catch(() => undefined)
      if (rests && isIdle(lease) && lease.free === 0 && lease.used === 0) this.#leases.delete(id)
    }
    this.#timer = undefined
    if (this.#leases.size > 0) this.#schedule()
  }
}

/** Tokens that may be reserved ahead: none for small budgets. */
function mostAhead({ tokensPerDay = Infinity, tokensPerMonth = Infinity }: BudgetLimits): number {
  const smaller = Math.min(tokensPerDay, tokensPerMonth)
  return smaller < LARGE ? 0 : Math.floor(smaller / SHARE)
}

const idOf = (keyId: string, day: string): string => `${keyId} ${day}`
const isIdle = (lease: Lease): boolean => lease.out === 0 && !lease.busy && lease.waiting.length === 0

/** Used and reserved tokens of a key as reported to a client: without those only ahead. */
function shown({ usage, used, free }: Lease): BudgetUsage {
  const of = (w: { used: number; reserved: number }): { used: number; reserved: number } => ({
    used: w.used + used,
    reserved: Math.max(0, w.reserved - used - free)
  })
  return { day: of(usage.day), month: of(usage.month) }
}

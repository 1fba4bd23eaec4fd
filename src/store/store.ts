/**
 * All that a gateway remembers, behind one interface with two implementations of the database: SQLite (default) and
 * PostgreSQL.
 */
import type { KeyStore } from './key-store.ts'

/** Tokens reserved for one request, in the day and the month in which it began. */
export interface Reservation {
  readonly keyId: string
  readonly tokens: number
  /** UTC: 2026-11-22 and 2026-11. */
  readonly day: string
  readonly month: string
}

export interface BudgetLimits {
  readonly tokensPerDay?: number | undefined
  readonly tokensPerMonth?: number | undefined
}

export interface BudgetWindow {
  /** Tokens of requests that have ended. */
  readonly used: number
  /**
   * Tokens reserved for running requests, or for requests whose gateway died: these stay counted until the window ends.
   */
  readonly reserved: number
}

export interface BudgetUsage {
  readonly day: BudgetWindow
  readonly month: BudgetWindow
}

/** A refusal names the full window; `left` is its remainder. */
export type BudgetAnswer =
  | { ok: true; reservation: Reservation; usage: BudgetUsage }
  | { ok: false; window: 'day' | 'month'; left: number; usage: BudgetUsage }

/**
 * Token budgets. For every key and window, used + reserved never exceeds the limit of the last granted reservation: it
 * is checked and added in one transaction, over all gateways of the database. A granted reservation is durable (synced
 * to disk) when the promise resolves. Concurrent calls share a transaction (group commit).
 */
export interface BudgetStore {
  reserve(keyId: string, tokens: number, limits: BudgetLimits, at: Date): Promise<BudgetAnswer>
  /** Turns a reservation into `used` tokens, at most those reserved. Losing it is safe: the reservation stays. */
  settle(reservation: Reservation, used: number): Promise<void>
  /** Counts tokens of a key without a budget, lazily. */
  count(keyId: string, tokens: number, at: Date): Promise<void>
  usage(keyId: string, at: Date): Promise<BudgetUsage>
}

/** Nonces of signed requests; durable when the promise resolves, so that a restart forgets none. */
export interface ReplayStore {
  /**
   * True the first time a credential uses a nonce before it expires by the time of the store.
   * @param expires ms since 1970, after which the request is too old anyway
   */
  use(credentialId: string, nonce: string, expires: number): Promise<boolean>
}

/** Changes in the store that are not in the audit log yet. Written in the transaction of the change. */
export interface OutboxEvent {
  readonly id: number
  /** ISO 8601, UTC. */
  readonly time: string
  readonly actor: string
  /** `key.create`, `key.rotate`, `key.change`, `key.revoke`. */
  readonly type: string
  /** JSON object; holds public facts only. */
  readonly detail: Record<string, unknown>
}

export interface Outbox {
  /**
   * Hands the oldest events (at most 256) to `log` and deletes them when it resolves. Gives their number. One caller at
   * a time over all gateways.
   */
  drain(log: (events: readonly OutboxEvent[]) => Promise<void>): Promise<number>
  /** Events that wait. */
  pending(): Promise<number>
}

/** Result of an operator's reset of a store whose time was ahead. */
export interface AcceptedTime {
  /** The time that the store had. */
  readonly before: Date
  /** Its time now. */
  readonly after: Date
}

/**
 * The time by which the store decides. It never goes back, over restarts and over all gateways of the database
 * (store-clock.ts).
 */
export interface StoreClock {
  now(): Date
  /** ms by which the clock is behind the largest time that was ever seen; 0: it is not. */
  behind(): number
  /** The latest time that the database had when it was opened. Undefined: it is new. */
  readonly latestBefore: Date | undefined
  /**
   * To which time an operator has last set the store back, ms since 1970; 0: never. Nonces used before that may have
   * been forgotten.
   */
  accepted(): number
  /**
   * Takes the clock for right where the store's time is ahead of it, and leaves an event for the audit log. Undefined:
   * it is not ahead.
   */
  accept(actor: string): Promise<AcceptedTime | undefined>
}

/** An audit log, as the database knows it. */
export interface KnownLog {
  /** Its verifier key (C2SP): `origin+hash+base64`. */
  readonly key: string
  /** A signed checkpoint of it that was on disk. */
  readonly checkpoint: string
}

/** A time in which a gateway kept no audit log. */
export interface UnauditedPeriod {
  /** ISO 8601, UTC. */
  readonly since: string
  /** When this was last written: the period may have lasted some seconds longer. */
  readonly until: string
  /** Why, in a few words. */
  readonly reason: string
  /** Requests with a valid key that were answered. */
  readonly requests: number
  /** Tokens of their prompts and answers. */
  readonly tokens: number
}

/** The database's evidence about the audit log of this gateway (evidence.ts). */
export interface Evidence {
  /** The newest checkpoint of the log with this verifier key that was saved. */
  checkpoint(key: string): Promise<string | undefined>
  /** The log that this gateway wrote last, which may be another than the one in its folder now. */
  lastLog(): Promise<KnownLog | undefined>
  /** Saves a checkpoint that is on disk with its log; lazily. */
  saveCheckpoint(log: KnownLog): Promise<void>
  /** The period without a log that is not in the log yet. */
  unaudited(): Promise<UnauditedPeriod | undefined>
  saveUnaudited(period: UnauditedPeriod, durable: boolean): Promise<void>
  /** To be called once the log has the period. */
  forgetUnaudited(): Promise<void>
}

export interface Store {
  readonly evidence: Evidence
  readonly clock: StoreClock
  readonly keys: KeyStore
  readonly budgets: BudgetStore
  readonly replay: ReplayStore
  readonly outbox: Outbox
  close(): Promise<void>
}

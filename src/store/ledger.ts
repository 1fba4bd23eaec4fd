/**
 * Durable before a request continues: used nonces and reserved tokens. Both share transactions (GroupCommit). Every
 * transaction locks its rows in the same order, counters first, each table by its key: so two gateways may wait for
 * each other, but never in a circle.
 */
import { VeritError, invariant } from '../lib/errors.ts'
import { apply, periodsOf } from './budgets.ts'
import type { BudgetOp, Counter } from './budgets.ts'
import { GroupCommit } from './group-commit.ts'
import { isCredentialId } from './key-format.ts'
import { NonceQuota } from './nonce-quota.ts'
import type { BudgetAnswer, BudgetLimits, BudgetStore, BudgetUsage, ReplayStore, Reservation } from './store.ts'
import type { SqlClock } from './store-clock.ts'
import type { Database, Tx } from './tables.ts'

/** Rows that one statement inserts stay far below the number of parameters that either database takes. */
const AT_ONCE = 256
/** An expired nonce is kept this much longer. */
const NONCE_GRACE_MS = 60_000

type Op =
  | BudgetOp
  | { readonly type: 'nonce'; readonly credentialId: string; readonly nonce: string; readonly expires: number }
type Answer = BudgetAnswer | boolean | undefined

/** Counters held locked, by idOf. */
type Locked = Map<string, { keyId: string; period: string; counter: Counter; was: Counter }>
type Row = readonly [keyId: string, period: string]

const idOf = (keyId: string, period: string): string => `${keyId} ${period}`
const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

interface Lazy {
  readonly count: (keyId: string, tokens: number, at: Date) => void
  readonly flush: () => Promise<void>
}

export class Ledger implements BudgetStore, ReplayStore {
  #database: Database
  #clock: SqlClock
  #group: GroupCommit<Op, Answer>
  #quota: NonceQuota
  #settled = new WeakSet<Reservation>()
  #flush: () => Promise<void>
  #lazily: (keyId: string, tokens: number, at: Date) => void

  /** @param lazy counts tokens some time later, see LazyCounts; `flush` makes it do so now */
  constructor(database: Database, clock: SqlClock, lazy: Lazy) {
    this.#database = database
    this.#clock = clock
    this.#group = new GroupCommit(ops => this.#commit(ops), AT_ONCE)
    this.#quota = new NonceQuota(database, undefined, () => clock.now().getTime())
    this.#lazily = lazy.count
    this.#flush = lazy.flush
  }

  async reserve(keyId: string, tokens: number, limits: BudgetLimits, at: Date): Promise<BudgetAnswer> {
    invariant(Number.isSafeInteger(tokens) && tokens >= 0, 'a reservation is a whole number of tokens')
    const answer = await this.#group.add({
      type: 'reserve',
      reservation: Object.freeze({ keyId, tokens, ...periodsOf(at) }),
      limits
    })
    invariant(typeof answer === 'object', 'a reservation has an answer')
    return answer
  }

  async settle(reservation: Reservation, used: number): Promise<void> {
    invariant(Number.isSafeInteger(used) && used >= 0, 'what was used is a whole number of tokens')
    // Once only, also after a failure: a transaction whose answer was lost may have succeeded, and a remaining
    // reservation is safe.
    if (this.#settled.has(reservation)) return
    this.#settled.add(reservation)
    await this.#group.add({ type: 'settle', reservation, used })
  }

  async count(keyId: string, tokens: number, at: Date): Promise<void> {
    invariant(Number.isSafeInteger(tokens) && tokens >= 0, 'what is counted is a whole number of tokens')
    this.#lazily(keyId, tokens, at)
  }

  /** Adds tokens that were counted in memory. */
  async addCounted(tallies: readonly Reservation[]): Promise<void> {
    await Promise.all(tallies.map(reservation => this.#group.add({ type: 'count', reservation })))
  }

  async usage(keyId: string, at: Date): Promise<BudgetUsage> {
    await this.#flush()
    const { day, month } = periodsOf(at)
    const rows = await this.#database.run(db =>
      db
        .selectFrom('verit_budget')
        .selectAll()
        .where('key_id', '=', keyId)
        .where('period', 'in', [day, month])
        .execute()
    )
    const of = (period: string): Counter => {
      const { used, reserved } = rows.find(row => row.period === period) ?? { used: 0, reserved: 0 }
      return { used, reserved }
    }
    return { day: of(day), month: of(month) }
  }

  async use(credentialId: string, nonce: string, expires: number): Promise<boolean> {
    // one that the database refused would take down all that share its transaction
    invariant(
      /^[\x20-\x7e]{1,512}$/.test(nonce) && isCredentialId(credentialId) && Number.isSafeInteger(expires),
      'a nonce has 1 to 512 ASCII characters'
    )
    await this.#quota.take(credentialId)
    return (await this.#group.add({ type: 'nonce', credentialId, nonce, expires })) === true
  }

  /** Resolves when no transaction runs. */
  idle(): Promise<void> {
    return this.#group.idle()
  }

  async #commit(ops: readonly Op[]): Promise<readonly Answer[]> {
    const budgetOps = ops.filter(op => op.type !== 'nonce')
    // Settlements and counts may be lost: more stays reserved then, not less.
    const durable = ops.some(op => op.type === 'nonce' || op.type === 'reserve')
    for (let attempt = 0; attempt < 8; attempt++) {
      const done = await this.#database[durable ? 'transaction' : 'lazyTransaction'](async tx => {
        const { locked, missing } = await this.#lockCounters(tx, budgetOps)
        if (missing.length > 0) return { missing }
        const nonces = await this.#useNonces(tx, ops)
        const budgets = await this.#applyBudgets(tx, budgetOps, locked)
        return { answers: ops.map(op => (op.type === 'nonce' ? nonces(op) : budgets.get(op))) }
      })
      if ('answers' in done) return done.answers
      await this.#makeRows(done.missing)
    }
    throw new VeritError('VERIT_STORE', {
      path: this.#database.name,
      reason: 'rows of budgets vanish as soon as they are made'
    })
  }

  /**
   * For each op of a nonce: whether it is the first to use it. Of two in one transaction, the first is. The time is
   * read after the nonces were written: if one was new only because somebody had just deleted it, the time that the
   * deletion rested on is seen, and the nonce has expired.
   */
  async #useNonces(tx: Tx, ops: readonly Op[]): Promise<(op: Op) => boolean> {
    const first = new Map<string, Op & { type: 'nonce' }>()
    for (const op of ops) {
      if (op.type !== 'nonce') continue
      const id = JSON.stringify([op.credentialId, op.nonce])
      if (!first.has(id)) first.set(id, op)
    }
    if (first.size === 0) return () => false
    const expired = this.#clock.now().getTime() - NONCE_GRACE_MS
    const values = [...first]
      .sort(([a], [b]) => order(a, b))
      .map(([, op]) => ({ credential_id: op.credentialId, nonce: op.nonce, expires: op.expires }))
    const made = await tx
      .insertInto('verit_nonce')
      .values(values)
      .onConflict(c =>
        c
          .columns(['credential_id', 'nonce'])
          .doUpdateSet(eb => ({ expires: eb.ref('excluded.expires') }))
          .where('verit_nonce.expires', '<', expired)
      )
      .returning(['credential_id', 'nonce'])
      .execute()
    const now = await this.#clock.within(tx)
    const won = new Set(
      made
        .map(row => first.get(JSON.stringify([row.credential_id, row.nonce])))
        .filter(op => op !== undefined && op.expires >= now)
    )
    return op => won.has(op as Op & { type: 'nonce' })
  }

  async #applyBudgets(tx: Tx, ops: readonly BudgetOp[], locked: Locked): Promise<Map<Op, BudgetAnswer | undefined>> {
    const answers = new Map<Op, BudgetAnswer | undefined>()
    for (const op of ops)
      answers.set(
        op,
        apply(op, (keyId, period) => locked.get(idOf(keyId, period))!.counter)
      )
    const changed = [...locked.values()].filter(
      ({ counter, was }) => counter.used !== was.used || counter.reserved !== was.reserved
    )
    if (changed.length > 0) {
      await tx
        .insertInto('verit_budget')
        .values(changed.map(({ keyId, period, counter }) => ({ key_id: keyId, period, ...counter })))
        .onConflict(c =>
          c
            .columns(['key_id', 'period'])
            .doUpdateSet(eb => ({ used: eb.ref('excluded.used'), reserved: eb.ref('excluded.reserved') }))
        )
        .execute()
    }
    return answers
  }

  /**
   * The counters of these ops, which nobody else changes until the transaction ends, and those that do not exist yet.
   */
  async #lockCounters(tx: Tx, ops: readonly BudgetOp[]): Promise<{ locked: Locked; missing: readonly Row[] }> {
    if (ops.length === 0) return { locked: new Map(), missing: [] }
    const wanted = new Map(
      ops.flatMap(({ reservation: { keyId, day, month } }) =>
        [day, month].map(period => [idOf(keyId, period), [keyId, period] as const])
      )
    )
    const keys = [...new Set(ops.map(op => op.reservation.keyId))]
    const periods = [...new Set(ops.flatMap(op => [op.reservation.day, op.reservation.month]))]
    const rows = await tx
      .selectFrom('verit_budget')
      .selectAll()
      .where('key_id', 'in', keys)
      .where('period', 'in', periods)
      .orderBy('key_id')
      .orderBy('period')
      .$if(this.#database.dialect === 'postgresql', q => q.forUpdate())
      .execute()
    const locked: Locked = new Map(
      rows.map(({ key_id: keyId, period, used, reserved }) => [
        idOf(keyId, period),
        { keyId, period, counter: { used, reserved }, was: { used, reserved } }
      ])
    )
    return { locked, missing: [...wanted].filter(([id]) => !locked.has(id)).map(([, row]) => row) }
  }

  /** In its own transaction, because missing rows cannot be locked. Once a day for a key. */
  async #makeRows(rows: readonly Row[]): Promise<void> {
    const values = [...rows]
      .sort((a, b) => order(idOf(...a), idOf(...b)))
      .map(([key_id, period]) => ({ key_id, period, used: 0, reserved: 0 }))
    await this.#database.transaction(tx =>
      tx
        .insertInto('verit_budget')
        .values(values)
        .onConflict(c => c.doNothing())
        .execute()
    )
  }
}

/**
 * Deletes expired rows: nonces, and windows of budgets that ended more than 13 months ago. The time is stored in the
 * same transaction: from then on the store is never earlier, so a signature whose nonce is gone cannot become new
 * again.
 */
export async function purge(database: Database, clock: SqlClock): Promise<void> {
  await database.transaction(async tx => {
    const now = new Date(await clock.save(tx))
    const oldest = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 13, 1)).toISOString().slice(0, 7)
    await tx
      .deleteFrom('verit_nonce')
      .where('expires', '<', now.getTime() - NONCE_GRACE_MS)
      .execute()
    await tx.deleteFrom('verit_budget').where('period', '<', oldest).execute()
  })
}

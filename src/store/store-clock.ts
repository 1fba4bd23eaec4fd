/**
 * The time that decides expiry, the day of a budget, and whether a signature is new. It is the largest time ever seen,
 * over restarts and gateways, so expired things stay expired when a clock goes back. The database keeps it; between two
 * exchanges it is in memory. A process that dies without closing the store loses at most the last 5 s of it, but never
 * a time that a deletion relied on.
 */
import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { VeritError } from '../lib/errors.ts'
import { record } from './outbox.ts'
import type { AcceptedTime, StoreClock } from './store.ts'
import type { Database, Tables, Tx } from './tables.ts'

const ROW = 'clock'
/** An advance of less is not worth a write, and a clock behind by less is right. */
const STEP_MS = 1000

export interface ClockOptions {
  /**
   * PostgreSQL: the database's clock counts, carried on between two exchanges by this machine's monotonic one, so
   * gateways whose clocks differ agree. SQLite is on the same machine anyway. Default false: the clock of this process.
   */
  readonly databaseClock?: boolean | undefined
  /**
   * Whether what this process sees is kept. A command that only looks must not move the time of a server. Default true.
   */
  readonly keepTime?: boolean | undefined
}

/** The row, as JSON. */
const Stored = Type.Object(
  {
    /** How often an operator has set the time back. */
    epoch: Type.Integer({ minimum: 0 }),
    /** ms since 1970. */
    time: Type.Integer({ minimum: 0 }),
    /** To which time it was set back last; 0: never. */
    accepted: Type.Integer({ minimum: 0 })
  },
  { additionalProperties: false }
)
type Stored = Static<typeof Stored>

export class SqlClock implements StoreClock {
  #database: Database
  #keeps: boolean
  /** The database's clock when it was last asked. */
  #asked: { at: number; time: number } | undefined
  #followsDatabase: boolean
  #epoch = 0
  #largest = 0
  #accepted = 0
  /** The time in the database, as far as this process knows. */
  #saved = 0
  /** Whether anything was decided by the time since it was saved. */
  #used = false
  #exchanging: Promise<void> | undefined
  latestBefore: Date | undefined

  private constructor(database: Database, { databaseClock = false, keepTime = true }: ClockOptions) {
    this.#database = database
    this.#keeps = keepTime
    this.#followsDatabase = databaseClock && database.dialect === 'postgresql'
  }

  static async open(database: Database, options: ClockOptions): Promise<SqlClock> {
    const clock = new SqlClock(database, options)
    await clock.exchange()
    if (clock.#saved > 0) clock.latestBefore = new Date(clock.#saved)
    return clock
  }

  now(): Date {
    this.#used = true
    return new Date(this.#advance())
  }

  behind(): number {
    return Math.max(0, this.#largest - this.#source())
  }

  accepted(): number {
    return this.#accepted
  }

  /** Exchanges times with the database. Concurrent calls share it. */
  exchange(): Promise<void> {
    this.#exchanging ??= this.#exchange().finally(() => (this.#exchanging = undefined))
    return this.#exchanging
  }

  async #exchange(): Promise<void> {
    const stored = await this.#database.run(async db => {
      if (this.#followsDatabase) this.#asked = { time: await databaseTime(db), at: performance.now() }
      return read(db)
    })
    this.#adopt(stored)
    const advanced = this.#used && this.#advance() - this.#saved >= STEP_MS
    if (this.#keeps && advanced) await this.#database.lazyTransaction(tx => this.save(tx))
  }

  /**
   * Keeps the present time with the transaction, which then rests on it.
   * @returns that time, ms since 1970
   */
  async save(tx: Tx): Promise<number> {
    const stored = await read(tx, this.#database.dialect === 'postgresql')
    this.#adopt(stored)
    const time = this.#advance()
    const value = valueOf({ epoch: this.#epoch, time, accepted: this.#accepted })
    if (stored === undefined) {
      await tx
        .insertInto('verit_meta')
        .values({ name: ROW, value })
        .onConflict(c => c.doNothing())
        .execute()
    } else if (time > stored.time) {
      await tx.updateTable('verit_meta').set({ value }).where('name', '=', ROW).execute()
    }
    this.#saved = Math.max(time, stored?.time ?? 0)
    this.#used = false
    return time
  }

  /** The present time, given the latest stored time in the transaction. @returns ms since 1970 */
  async within(tx: Tx): Promise<number> {
    this.#adopt(await read(tx))
    return this.now().getTime()
  }

  /**
   * Takes this machine's clock for right where the stored time is ahead of it, and leaves an event for the audit log.
   * Undefined: it is not ahead.
   */
  async accept(actor: string): Promise<AcceptedTime | undefined> {
    await this.exchange()
    return this.#database.transaction(async tx => {
      const stored = await read(tx, this.#database.dialect === 'postgresql')
      const time = this.#source()
      if (stored === undefined || stored.time - time < STEP_MS) return undefined
      const next = { epoch: stored.epoch + 1, time, accepted: time }
      await tx
        .updateTable('verit_meta')
        .set({ value: valueOf(next) })
        .where('name', '=', ROW)
        .execute()
      const [before, after] = [new Date(stored.time), new Date(time)]
      await record(tx, actor, 'clock.accept', { before: before.toISOString(), after: after.toISOString() })
      this.#adopt(next)
      return { before, after }
    })
  }

  #source(): number {
    return this.#asked === undefined ? Date.now() : Math.floor(this.#asked.time + performance.now() - this.#asked.at)
  }

  #advance(): number {
    this.#largest = Math.max(this.#largest, this.#source())
    return this.#largest
  }

  #adopt(stored: Stored | undefined): void {
    if (stored === undefined) return
    this.#saved = stored.time
    if (stored.epoch <= this.#epoch) this.#largest = Math.max(this.#largest, stored.time)
    else [this.#epoch, this.#largest, this.#accepted] = [stored.epoch, stored.time, stored.accepted]
  }
}

async function read(db: Kysely<Tables>, lock = false): Promise<Stored | undefined> {
  const row = await db
    .selectFrom('verit_meta')
    .select('value')
    .where('name', '=', ROW)
    .$if(lock, q => q.forUpdate())
    .executeTakeFirst()
  if (row === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(row.value).toString('utf8'))
  } catch {
    value = undefined
  }
  if (Value.Check(Stored, value)) return value
  const problem = 'the time that it keeps is damaged'
  throw new VeritError('VERIT_STATE', { path: 'in its database', problem, fix: 'Restore the database from a backup' })
}

const valueOf = (stored: Stored): Buffer => Buffer.from(JSON.stringify(stored), 'utf8')

async function databaseTime(db: Kysely<Tables>): Promise<number> {
  const query = sql<{ ms: number }>`SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS ms`
  const {
    rows: [row]
  } = await query.execute(db)
  return row!.ms
}

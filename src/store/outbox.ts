/**
 * Changes of keys on their way to the audit log. An event is written in the transaction of its change, so that neither
 * exists without the other; it is deleted once the log has it. A crash between the two hands it over again, under the
 * same number.
 */
import { randomBytes } from 'node:crypto'
import { giveLeaseBack, takeLease } from './lease.ts'
import type { Outbox, OutboxEvent } from './store.ts'
import type { Database, Tx } from './tables.ts'

const AT_ONCE = 256
/** A log that takes longer may get the same events from another gateway, too. */
const LEASE_MS = 60_000
const LEASE = 'outbox'

/** Writes an event in the transaction of a change. @param detail public facts only */
export async function record(tx: Tx, actor: string, type: string, detail: Record<string, unknown>): Promise<void> {
  await tx
    .insertInto('verit_outbox')
    .values({ time: new Date().toISOString(), actor, type, detail: JSON.stringify(detail) })
    .execute()
}

export class SqlOutbox implements Outbox {
  #database: Database
  #owner = randomBytes(16).toString('hex')
  #draining = false

  constructor(database: Database) {
    this.#database = database
  }

  async drain(log: (events: readonly OutboxEvent[]) => Promise<void>): Promise<number> {
    if (this.#draining) return 0
    this.#draining = true // a lease is one process's: within it, this is what keeps a second caller out
    try {
      if ((await this.pending()) === 0 || !(await takeLease(this.#database, LEASE, this.#owner, LEASE_MS))) return 0
      try {
        return await this.#handOver(log)
      } finally {
        await giveLeaseBack(this.#database, LEASE, this.#owner)
      }
    } finally {
      this.#draining = false
    }
  }

  async pending(): Promise<number> {
    const row = await this.#database.run(db =>
      db
        .selectFrom('verit_outbox')
        .select(eb => eb.fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow()
    )
    return row.n
  }

  async #handOver(log: (events: readonly OutboxEvent[]) => Promise<void>): Promise<number> {
    const rows = await this.#database.run(db =>
      db.selectFrom('verit_outbox').selectAll().orderBy('id').limit(AT_ONCE).execute()
    )
    if (rows.length === 0) return 0
    await log(rows.map(row => ({ ...row, detail: JSON.parse(row.detail) as Record<string, unknown> })))
    await this.#database.transaction(tx =>
      tx
        .deleteFrom('verit_outbox')
        .where(
          'id',
          'in',
          rows.map(row => row.id)
        )
        .execute()
    )
    return rows.length
  }
}

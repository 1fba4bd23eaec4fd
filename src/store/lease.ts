/**
 * Work that one process at a time does for all: who holds the row of that name. The time is the database's own, so that
 * clocks of gateways need not agree; a holder that dies is replaced when its time is over.
 */
import { sql } from 'kysely'
import type { Expression, ExpressionBuilder, SqlBool } from 'kysely'
import type { Database, Tables } from './tables.ts'

/**
 * Takes or renews a lease; false while another has it. One that ends later than any lease that begins now was taken by
 * a clock that was ahead: it counts as free, or nobody could do the work until the clock had caught up.
 */
export async function takeLease(database: Database, name: string, owner: string, ms: number): Promise<boolean> {
  const now =
    database.dialect === 'sqlite'
      ? sql<number>`CAST(unixepoch('subsec') * 1000 AS INTEGER)`
      : sql<number>`CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`
  const until = sql<number>`${now} + CAST(${ms} AS ${sql.raw(database.dialect === 'sqlite' ? 'INTEGER' : 'BIGINT')})`
  const free = (eb: ExpressionBuilder<Tables, 'verit_lease'>): Expression<SqlBool> =>
    eb.or([eb('verit_lease.owner', '=', owner), eb('verit_lease.until', '<', now), eb('verit_lease.until', '>', until)])
  const rows = await database.run(db =>
    db
      .insertInto('verit_lease')
      .values({ name, owner, until })
      .onConflict(c =>
        c
          .column('name')
          .doUpdateSet(eb => ({ owner: eb.ref('excluded.owner'), until: eb.ref('excluded.until') }))
          .where(eb => free(eb as never))
      )
      .returning('owner')
      .execute()
  )
  return rows.length > 0
}

export async function giveLeaseBack(database: Database, name: string, owner: string): Promise<void> {
  await database.run(db => db.deleteFrom('verit_lease').where('name', '=', name).where('owner', '=', owner).execute())
}

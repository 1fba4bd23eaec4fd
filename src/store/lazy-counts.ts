/**
 * Data that a crash may lose and that are therefore written seldom: last use of keys, and tokens of keys without a
 * budget.
 */
import { periodsOf } from './budgets.ts'
import type { Reservation } from './store.ts'
import type { Database } from './tables.ts'

export class LazyCounts {
  #database: Database
  /** The minute of its last use, by key. */
  #uses = new Map<string, string>()
  /** By key and day. */
  #tallies = new Map<string, { -readonly [F in keyof Reservation]: Reservation[F] }>()

  constructor(database: Database) {
    this.#database = database
  }

  touch(ids: readonly string[], at: Date): void {
    const minute = `${at.toISOString().slice(0, 16)}:00.000Z`
    for (const id of ids) if ((this.#uses.get(id) ?? '') < minute) this.#uses.set(id, minute)
  }

  count(keyId: string, tokens: number, at: Date): void {
    const periods = periodsOf(at)
    const id = `${keyId} ${periods.day}`
    const tally = this.#tallies.get(id)
    if (tally === undefined) this.#tallies.set(id, { keyId, tokens, ...periods })
    else tally.tokens += tokens
  }

  /** Writes all of it. Failed writes are repeated next time, except for tokens whose transaction may have succeeded. */
  async flush(add: (tallies: readonly Reservation[]) => Promise<void>): Promise<void> {
    const tallies = [...this.#tallies.values()]
    this.#tallies.clear()
    if (tallies.length > 0) await add(tallies)
    const uses = this.#uses
    this.#uses = new Map()
    try {
      await this.#writeUses(uses)
    } catch (e) {
      for (const [id, minute] of uses) if ((this.#uses.get(id) ?? '') < minute) this.#uses.set(id, minute)
      throw e
    }
  }

  async #writeUses(uses: ReadonlyMap<string, string>): Promise<void> {
    const ids = [...uses.keys()].sort()
    for (let i = 0; i < ids.length; i += 500) {
      await this.#database.transaction(async tx => {
        const part = ids.slice(i, i + 500)
        // locked in order, against deadlocks with other gateways
        const rows = await tx
          .selectFrom('verit_key')
          .select(['id', 'last_used'])
          .where('id', 'in', part)
          .orderBy('id')
          .$if(this.#database.dialect === 'postgresql', q => q.forNoKeyUpdate())
          .execute()
        const older = rows.filter(row => (row.last_used ?? '') < uses.get(row.id)!)
        for (const [minute, group] of Map.groupBy(older, row => uses.get(row.id)!)) {
          await tx
            .updateTable('verit_key')
            .set({ last_used: minute })
            .where(
              'id',
              'in',
              group.map(row => row.id)
            )
            .execute()
        }
      })
    }
  }
}

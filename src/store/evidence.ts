/**
 * Evidence in the database about the audit log, whose files are elsewhere: its newest checkpoint, and periods without a
 * log. So neither of the two can be rolled back or disabled alone unnoticed. A checkpoint is saved after it is on disk
 * with the log, lazily: the database may lag behind the log, and never leads.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Type } from 'typebox'
import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import type { Evidence, KnownLog, UnauditedPeriod } from './store.ts'
import type { Database } from './tables.ts'

const closed = { additionalProperties: false } as const
const text = Type.String({ maxLength: 4096 })
const count = Type.Integer({ minimum: 0 })
const Log = Type.Object({ key: text, checkpoint: Type.String({ maxLength: 1 << 20 }) }, closed)
const Period = Type.Object({ since: text, until: text, reason: text, requests: count, tokens: count }, closed)

/** SQLite lies in the state folder, so there is one gateway. */
const ONLY_GATEWAY = 'local'
const NAME = /^[0-9a-f]{32}$/

export class SqlEvidence implements Evidence {
  #database: Database
  #folder: string

  /** @param folder the state folder, which tells the gateways of one PostgreSQL apart */
  constructor(database: Database, folder: string) {
    this.#database = database
    this.#folder = folder
  }

  async checkpoint(key: string): Promise<string | undefined> {
    const log = await this.#read(rowOfLog(key), Log)
    return log?.checkpoint
  }

  async lastLog(): Promise<KnownLog | undefined> {
    const gateway = this.#gateway(false)
    return gateway === undefined ? undefined : this.#read(`audit-log:${gateway}`, Log)
  }

  async saveCheckpoint(log: KnownLog): Promise<void> {
    const rows = [rowOfLog(log.key), `audit-log:${this.#gateway(true)}`]
    await this.#write(rows, log, false)
  }

  async unaudited(): Promise<UnauditedPeriod | undefined> {
    const gateway = this.#gateway(false)
    return gateway === undefined ? undefined : this.#read(`unaudited:${gateway}`, Period)
  }

  async saveUnaudited(period: UnauditedPeriod, durable: boolean): Promise<void> {
    await this.#write([`unaudited:${this.#gateway(true)}`], period, durable)
  }

  async forgetUnaudited(): Promise<void> {
    const gateway = this.#gateway(false)
    if (gateway === undefined) return
    const name = `unaudited:${gateway}`
    await this.#database.transaction(tx => tx.deleteFrom('verit_meta').where('name', '=', name).execute())
  }

  async #read<S extends TSchema>(name: string, schema: S): Promise<Static<S> | undefined> {
    const row = await this.#database.run(db =>
      db.selectFrom('verit_meta').select('value').where('name', '=', name).executeTakeFirst()
    )
    if (row === undefined) return undefined
    let value: unknown
    try {
      value = JSON.parse(Buffer.from(row.value).toString('utf8'))
    } catch {
      value = undefined
    }
    if (Value.Check(schema, value)) return value
    const fix = 'Restore the database from a backup, and find out who can write to it'
    const problem = `what it remembers of the audit log (${name}) is damaged`
    throw new VeritError('VERIT_STATE', { path: 'in its database', problem, fix })
  }

  async #write(names: readonly string[], value: object, durable: boolean): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(value), 'utf8')
    const rows = names.map(name => ({ name, value: bytes }))
    await this.#database[durable ? 'transaction' : 'lazyTransaction'](tx =>
      tx
        .insertInto('verit_meta')
        .values(rows)
        .onConflict(c => c.column('name').doUpdateSet(eb => ({ value: eb.ref('excluded.value') })))
        .execute()
    )
  }

  /** The name of this gateway's rows: of several on one PostgreSQL each has one in its state folder. */
  #gateway(make: true): string
  #gateway(make: boolean): string | undefined
  #gateway(make: boolean): string | undefined {
    if (this.#database.dialect === 'sqlite') return ONLY_GATEWAY
    const path = join(this.#folder, 'gateway')
    if (!existsSync(path)) {
      if (!make) return undefined
      try {
        writeFileAtomic(path, `${randomBytes(16).toString('hex')}\n`, { mode: 0o600, overwrite: false })
      } catch (e) {
        if (!VeritError.is(e, 'VERIT_FILE_EXISTS')) throw e // another process made it meanwhile
      }
    }
    const bytes = readTrusted(path, { kind: 'state', purpose: 'the name of the gateway', limit: 100 })
    const name = bytes.toString('latin1').trim()
    if (NAME.test(name)) return name
    const fix = "Restore it from a backup, or remove it; then the database no longer knows this gateway's audit log"
    throw new VeritError('VERIT_STATE', { path, problem: 'it is not the name of a gateway', fix })
  }
}

const rowOfLog = (key: string): string =>
  `audit-checkpoint:${createHash('sha256').update(key).digest('hex').slice(0, 32)}`

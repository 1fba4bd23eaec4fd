/** Databases for tests of the store: each dialect, in folders and databases of their own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before } from 'node:test'
import pg from 'pg'
import { VeritError } from '../src/lib/errors.ts'
import type { ErrorCode } from '../src/lib/errors.ts'
import { openStore } from '../src/store/open-store.ts'
import type { Store } from '../src/store/store.ts'
import { startPostgres } from './postgres.ts'
import type { Postgres } from './postgres.ts'

export const dir = mkdtempSync(join(tmpdir(), 'verit-store-'))
export let postgres: Postgres
before(async () => {
  postgres = await startPostgres()
})
after(async () => {
  await postgres?.stop()
  rmSync(dir, { recursive: true })
})

export const refused =
  (code: ErrorCode, text = '') =>
  (e: unknown): boolean =>
    VeritError.is(e, code) && e.message.includes(text)
export const C1 = 'key_00000000000a.1'
export const C2 = 'key_00000000000a.2'
export const MINUTE = 60_000
export const DAY = 86_400_000

let folders = 0
/** A new, empty database with a secret, which several stores may open. */
export interface Place {
  readonly stateFolder: string
  readonly databaseUrl: string | undefined
  open(): Promise<Store>
  /** Runs SQL in it without the store. */
  query(sql: string): Promise<Record<string, unknown>[]>
}

export async function place(
  dialect: Dialect,
  databaseUrl = dialect === 'postgresql' ? postgres.createDatabase() : undefined
): Promise<Place> {
  const stateFolder = join(dir, `s${folders++}`)
  const url = await databaseUrl
  return {
    stateFolder,
    databaseUrl: url,
    open: () => openStore({ stateFolder, databaseUrl: url }),
    query: async sql => {
      if (url === undefined) {
        const db = new DatabaseSync(join(stateFolder, 'verit.sqlite'))
        try {
          return db.prepare(sql).all()
        } finally {
          db.close()
        }
      }
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      try {
        return (await client.query<Record<string, unknown>>(sql)).rows
      } finally {
        await client.end()
      }
    }
  }
}

export const dialects = ['sqlite', 'postgresql'] as const
export type Dialect = (typeof dialects)[number]
/** Two gateways on one database. */
export async function two(dialect: Dialect): Promise<{ a: Store; b: Store; at: Place } & AsyncDisposable> {
  const at = await place(dialect)
  const [a, b] = [await at.open(), await at.open()]
  return { a, b, at, [Symbol.asyncDispose]: async () => void (await Promise.all([a.close(), b.close()])) }
}

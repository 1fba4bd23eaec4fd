/**
 * The store's database in one file, `verit.sqlite` in the state folder. Its version is SQLite's `user_version`; it only
 * ever moves forward.
 */
import { closeSync, existsSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { Kysely } from 'kysely'
import { VeritError } from '../lib/errors.ts'
import { Mutex } from '../lib/turns.ts'
import { migrations, newerVersion } from './migrations.ts'
import { NodeSqliteDialect } from './sqlite-dialect.ts'
import { checkPrivate } from './state-folder.ts'
import type { Database, Tables, Tx } from './tables.ts'

/**
 * Stores of one process on one file take turns: SQLite waits for a lock by blocking this very thread, on which the
 * other would have to go on. Processes wait for each other in SQLite.
 */
const turns = new Map<string, { mutex: Mutex; stores: number }>()

/**
 * Opens a database for reading alone: nothing is made, migrated or written, no side files either where there are none.
 * @returns undefined where it has no tables yet, or those of an older version, which the next start brings up to date
 * @throws VeritError VERIT_STATE (open to others, or of a newer version), VERIT_STORE
 */
export function peekSqlite(path: string): Database | undefined {
  checkPrivate(path, 'file')
  const failed = failure(path)
  const address = pathToFileURL(path)
  if (!existsSync(`${path}-wal`)) address.searchParams.set('immutable', '1')
  try {
    const database = new DatabaseSync(address, { readOnly: true, timeout: 1000 })
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
    const dialect = new NodeSqliteDialect(database)
    if (version === migrations.length) return readOnly(path, new Kysely<Tables>({ dialect }), failed)
    database.close()
    if (version > migrations.length) throw newerVersion(path)
    return undefined
  } catch (e) {
    throw failed(e)
  }
}

function readOnly(path: string, db: Kysely<Tables>, failed: (e: unknown) => unknown): Database {
  const problem = 'a store that is only looked at was written to'
  const refuse = (): Promise<never> => Promise.reject(new VeritError('VERIT_INTERNAL', { problem }))
  return {
    dialect: 'sqlite',
    name: path,
    transaction: refuse,
    lazyTransaction: refuse,
    close: () => db.destroy(),
    run: async work => {
      try {
        return await work(db)
      } catch (e) {
        throw failed(e)
      }
    }
  }
}

const failure =
  (path: string) =>
  (e: unknown): unknown => {
    const reason = e instanceof Error ? e.message : String(e)
    return VeritError.is(e) ? e : new VeritError('VERIT_STORE', { path, reason }, e)
  }

/** @throws VeritError VERIT_STATE (open to others, or of a newer version), VERIT_STORE */
export function openSqlite(path: string): Database {
  // SQLite creates its side files with the mode of the database, so the database is created first, and private. Only if
  // missing: closing a descriptor of a database that another store of this process has open would release that store's
  // locks.
  if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600))
  checkPrivate(path, 'file')
  const failed = failure(path)
  let database: DatabaseSync
  try {
    database = new DatabaseSync(path, { timeout: 1000, enableForeignKeyConstraints: true })
  } catch (e) {
    throw failed(e)
  }
  try {
    database.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON'
    )
    migrate(database, path)
  } catch (e) {
    database.close()
    throw failed(e)
  }
  const db = new Kysely<Tables>({ dialect: new NodeSqliteDialect(database) })
  const turn = turns.get(path) ?? { mutex: new Mutex(), stores: 0 }
  turns.set(path, turn)
  turn.stores++
  let open = true
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await turn.mutex.run(async () => {
        if (!open) throw new Error('it has been closed')
        return work()
      })
    } catch (e) {
      throw failed(e)
    }
  }
  return {
    dialect: 'sqlite',
    name: path,
    run: work => guard(() => work(db)),
    transaction: <T>(work: (tx: Tx) => Promise<T>) => guard(() => db.transaction().execute(work)),
    lazyTransaction: <T>(work: (tx: Tx) => Promise<T>) =>
      guard(async () => {
        database.exec('PRAGMA synchronous = NORMAL')
        try {
          return await db.transaction().execute(work)
        } finally {
          database.exec('PRAGMA synchronous = FULL')
        }
      }),
    close: async () => {
      if (!open) return
      open = false
      await turn.mutex.run(() => db.destroy())
      if (database.isOpen) database.close() // Kysely closes only what it has used
      if (--turn.stores === 0) turns.delete(path)
    }
  }
}

/**
 * One transaction from whatever version it has: of two processes that start together, the second finds the work done.
 */
function migrate(database: DatabaseSync, path: string): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
    if (version > migrations.length) throw newerVersion(path)
    for (const step of migrations.slice(version).flatMap(m => m.sqlite)) database.exec(step)
    database.exec(`PRAGMA user_version = ${migrations.length}`)
    database.exec('COMMIT')
  } catch (e) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw e
  }
}

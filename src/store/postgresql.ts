/** The store's database in PostgreSQL (14 and later), for several gateways. Loaded only if a URL is given. */
import pg from 'pg'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { VeritError, invariant } from '../lib/errors.ts'
import { connectionOf } from './database-tls.ts'
import type { DatabaseConnection } from './database-tls.ts'
import { checkDatabaseUrl } from './database-url.ts'
import { migrations, newerVersion } from './migrations.ts'
import type { Database, Tables, Tx } from './tables.ts'

const NAME = 'in PostgreSQL'
const CONNECTIONS = 8
const CONNECT_MS = 5000
/** A statement is ended by the database after the first, and given up by this side after the second. */
const STATEMENT_MS = 10_000
const ANSWER_MS = 15_000
/** Any number that only Verit is likely to lock: its name's first letters. */
const MIGRATION_LOCK = 0x76657269
const INT8 = 20
const HAS_SCHEMA = "SELECT to_regclass('verit_schema') IS NOT NULL AS made"

/** SQLSTATE classes and codes whose messages name no values of ours. */
const reasons: Readonly<Record<string, string>> = {
  '08': 'the connection broke',
  '28': 'it does not let this user in',
  '3D': 'there is no such database',
  '40': "transactions were in each other's way",
  '42501': 'the user lacks a permission there',
  '53': 'it has no resources left',
  '53100': 'its disk is full',
  '53300': 'it has too many connections',
  '55P03': 'a lock was not free in time',
  '57': 'an operator ended the query',
  '57014': 'a query took too long',
  '57P01': 'it is being shut down',
  '57P03': 'it is starting or stopping',
  '25006': 'it is read-only'
}
const networkReasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'it refuses connections',
  ENOTFOUND: 'its host is not known',
  EAI_AGAIN: 'its host cannot be looked up',
  ECONNRESET: 'the connection broke',
  EPIPE: 'the connection broke',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'its host cannot be reached',
  ENOENT: 'its socket is not there',
  EACCES: 'its socket may not be used'
}

/**
 * Describes a failure without the URL, the SQL or its values, which messages of the database and its client may
 * contain: so there is no `cause`.
 */
function failed(e: unknown): unknown {
  if (VeritError.is(e)) return e
  const code = typeof e === 'object' && e !== null && 'code' in e ? String(e.code) : ''
  const sqlState = /^[0-9A-Z]{5}$/.test(code) && e instanceof pg.DatabaseError
  const untrusted = code.startsWith('ERR_TLS') || code.includes('CERT') ? 'its certificate is not accepted' : undefined
  const known = sqlState ? (reasons[code] ?? reasons[code.slice(0, 2)]) : (networkReasons[code] ?? untrusted)
  const message = e instanceof Error && code === '' ? ownMessage(e.message) : undefined
  const reason =
    known === undefined
      ? (message ?? `it reports ${sqlState ? 'SQLSTATE ' : ''}${code || 'an error'}`)
      : `${known} (${code})`
  return new VeritError('VERIT_STORE', { path: NAME, reason })
}

/** Messages of the client that are fixed texts. */
function ownMessage(message: string): string | undefined {
  if (/timeout/i.test(message)) return 'it does not answer in time'
  if (/terminated|ended|closed/i.test(message)) return 'the connection broke'
  if (/does not support SSL/i.test(message)) return 'it does not speak TLS'
  return undefined
}

/** @throws VeritError VERIT_DATABASE_URL, VERIT_STORE, VERIT_STATE (a newer Verit wrote it) */
export async function openPostgresql(url: string): Promise<Database> {
  return (await connect(url, async pool => {
    await migrate(pool)
    return true
  }))!
}

/**
 * Connects for reading alone: nothing is made or migrated.
 * @returns undefined where it has no tables yet, or those of an older version, which the next start brings up to date
 * @throws VeritError as openPostgresql
 */
export const peekPostgresql = (url: string): Promise<Database | undefined> => connect(url, isCurrent)

/** @param prepare checks that the database is usable; its errors are answers of the database */
async function connect(url: string, prepare: (pool: pg.Pool) => Promise<boolean>): Promise<Database | undefined> {
  checkDatabaseUrl(url)
  const options = poolOptions(connectionOf(url))
  try {
    void new pg.Client(options) // connects to nothing, but looks at the URL
  } catch {
    throw new VeritError('VERIT_DATABASE_URL', { problem: 'a part of it is malformed' })
  }
  const pool = new pg.Pool(options)
  pool.on('error', () => {}) // an idle connection broke: the pool has dropped it, and the next query opens another
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  let open = true
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      if (!open) throw new VeritError('VERIT_STORE', { path: NAME, reason: 'it has been closed' })
      return await work()
    } catch (e) {
      throw failed(e)
    }
  }
  const close = async (): Promise<void> => {
    if (!open) return
    open = false
    await pool.end()
  }
  try {
    if (!(await guard(() => prepare(pool)))) {
      await close()
      return undefined
    }
  } catch (e) {
    await close()
    throw e
  }
  return {
    dialect: 'postgresql',
    name: NAME,
    run: work => guard(() => work(db)),
    transaction: <T>(work: (tx: Tx) => Promise<T>) =>
      guard(() => db.transaction().setIsolationLevel('read committed').execute(work)),
    lazyTransaction: <T>(work: (tx: Tx) => Promise<T>) =>
      guard(() =>
        db
          .transaction()
          .setIsolationLevel('read committed')
          .execute(async tx => {
            await sql`SET LOCAL synchronous_commit TO off`.execute(tx)
            return work(tx)
          })
      ),
    close
  }
}

function poolOptions(connection: DatabaseConnection): pg.PoolConfig {
  return {
    ...connection,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    allowExitOnIdle: true,
    statement_timeout: STATEMENT_MS,
    query_timeout: ANSWER_MS,
    lock_timeout: STATEMENT_MS,
    idle_in_transaction_session_timeout: STATEMENT_MS,
    application_name: 'verit',
    types: { getTypeParser: typeParser as typeof pg.types.getTypeParser },
    // A commit that is answered is on disk, whatever the default of this database; stricter settings of its operator
    // stay.
    onConnect: async client => {
      // a connection that breaks rejects its query and is dropped; without a listener it would end this process
      client.on('error', () => {})
      endWhenSilent(client)
      await client.query(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN " +
          "('off', 'local')"
      )
    }
  }
}

/** A connection with a late answer still waits for it, and would make its next user wait too. */
function endWhenSilent(client: pg.ClientBase): void {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown
  client.query = ((...args: unknown[]) => {
    const result = query(...args)
    if (result instanceof Promise) {
      result.catch((e: unknown) => {
        if (e instanceof Error && e.message === 'Query read timeout') void (client as pg.Client).end()
      })
    }
    return result
  }) as pg.ClientBase['query']
}

const typeParser = (id: number, format?: 'text' | 'binary'): unknown =>
  id === INT8 && format !== 'binary' ? wholeNumber : pg.types.getTypeParser(id, format)

function wholeNumber(text: string): number {
  const n = Number(text)
  invariant(Number.isSafeInteger(n), 'a number in the database is too large')
  return n
}

async function isCurrent(pool: pg.Pool): Promise<boolean> {
  const {
    rows: [schema]
  } = await pool.query<{ made: boolean }>(HAS_SCHEMA)
  if (schema?.made !== true) return false
  const {
    rows: [row]
  } = await pool.query<{ version: number }>('SELECT version FROM verit_schema')
  if ((row?.version ?? 0) > migrations.length) throw newerVersion(NAME)
  return row?.version === migrations.length
}

/**
 * One transaction from whatever version it has, under a lock: of two gateways that start together, the second finds the
 * work done.
 */
async function migrate(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  let broken = true
  try {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    const {
      rows: [schema]
    } = await client.query<{ made: boolean }>(HAS_SCHEMA)
    // a right that is needed the first time only
    if (schema?.made !== true) await client.query('CREATE TABLE verit_schema (version BIGINT NOT NULL)')
    const { rows } = await client.query<{ version: number }>('SELECT version FROM verit_schema')
    const version = rows[0]?.version ?? 0
    if (version > migrations.length) throw newerVersion(NAME)
    for (const step of migrations.slice(version).flatMap(m => m.postgresql)) await client.query(step)
    if (rows.length === 0) await client.query('INSERT INTO verit_schema VALUES ($1)', [migrations.length])
    else if (version < migrations.length)
      await client.query('UPDATE verit_schema SET version = $1', [migrations.length])
    await client.query('COMMIT')
    broken = false
  } finally {
    client.release(broken) // which ends a transaction that did not get to its end
  }
}

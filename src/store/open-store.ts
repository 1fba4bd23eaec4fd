/**
 * Opens the store: SQLite in the state folder, or PostgreSQL where a URL is given; the server's secret is in the state
 * folder in both cases.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { SqlEvidence } from './evidence.ts'
import { LazyCounts } from './lazy-counts.ts'
import { takeLease } from './lease.ts'
import { LeasedBudgets } from './leased-budgets.ts'
import { Ledger, purge } from './ledger.ts'
import { SqlOutbox } from './outbox.ts'
import { SealedSecrets } from './sealed-secrets.ts'
import { serverSecret } from './server-secret.ts'
import { SqlKeyStore } from './sql-key-store.ts'
import { SqlClock } from './store-clock.ts'
import type { ClockOptions } from './store-clock.ts'
import { openSqlite, peekSqlite } from './sqlite.ts'
import { checkPrivate, openStateFolder } from './state-folder.ts'
import type { Evidence, Store } from './store.ts'
import type { Database } from './tables.ts'

export interface StoreOptions extends ClockOptions {
  /** Folder of the secret, and of the SQLite database. Created if missing. */
  readonly stateFolder: string
  /** postgresql://... It is never shown. Undefined or empty: SQLite. */
  readonly databaseUrl?: string | undefined
}

/** For commands that only read a store, or change one thing in it. */
export const briefly: ClockOptions = { databaseClock: true, keepTime: false }

const FLUSH_MS = 5000
const PURGE_MS = 60_000
const CHECK = 'secret-check'

/**
 * @throws VeritError VERIT_STATE (secret or database cannot be used), VERIT_STORE (it cannot be reached),
 * VERIT_DATABASE_URL
 */
export async function openStore({ stateFolder, databaseUrl = '', ...clock }: StoreOptions): Promise<Store> {
  const folder = openStateFolder(stateFolder)
  const file = join(folder, 'verit.sqlite')
  if (databaseUrl === '') {
    const used = existsSync(file) // looked for first: another process may be making both
    const secret = serverSecret(folder, used)
    return start(openSqlite(file), () => secret, folder, clock)
  }
  const { openPostgresql } = await import('./postgresql.ts')
  return start(await openPostgresql(databaseUrl), used => serverSecret(folder, used), folder, clock)
}

/** The value that only the secret of this database gives. */
const storedCheck = (database: Database): Promise<{ value: Uint8Array } | undefined> =>
  database.run(db => db.selectFrom('verit_meta').select('value').where('name', '=', CHECK).executeTakeFirst())

async function start(
  database: Database,
  secretFor: (used: boolean) => Buffer,
  folder: string,
  options: ClockOptions
): Promise<Store> {
  try {
    const known = await storedCheck(database)
    const secrets = new SealedSecrets(secretFor(known !== undefined))
    await checkSecret(database, secrets)
    return new SqlStore(database, secrets, await SqlClock.open(database, options), new SqlEvidence(database, folder))
  } catch (e) {
    await database.close()
    throw e
  }
}

/**
 * Whether `openStore` would refuse, without creating, migrating or writing anything. For `verit serve --check`.
 * @param look receives the store's evidence about the audit log, if there is a store
 * @throws VeritError as openStore, and errors of `look`
 */
export async function peekStore(
  { stateFolder, databaseUrl = '' }: Pick<StoreOptions, 'stateFolder' | 'databaseUrl'>,
  look: (evidence: Evidence) => Promise<void>
): Promise<void> {
  const folder = resolve(stateFolder)
  if (existsSync(folder)) checkPrivate(folder, 'folder')
  const file = join(folder, 'verit.sqlite')
  if (databaseUrl === '' && !existsSync(file)) return
  const database =
    databaseUrl === '' ? peekSqlite(file) : await (await import('./postgresql.ts')).peekPostgresql(databaseUrl)
  try {
    const known = database === undefined ? undefined : await storedCheck(database)
    if (known === undefined && databaseUrl !== '') return // a new database takes any secret
    const secrets = new SealedSecrets(serverSecret(folder, true))
    if (known !== undefined && !secrets.isCheck(known.value)) throw anotherSecret(database!.name)
    if (database !== undefined) await look(new SqlEvidence(database, folder))
  } finally {
    await database?.close()
  }
}

/** With another secret every key would be refused, and nobody would know why. */
async function checkSecret(database: Database, secrets: SealedSecrets): Promise<void> {
  const stored = await database.transaction(async tx => {
    await tx
      .insertInto('verit_meta')
      .values({ name: CHECK, value: secrets.check() })
      .onConflict(c => c.doNothing())
      .execute()
    return tx.selectFrom('verit_meta').select('value').where('name', '=', CHECK).executeTakeFirstOrThrow()
  })
  if (secrets.isCheck(stored.value)) return
  throw anotherSecret(database.name)
}

const anotherSecret = (path: string): VeritError =>
  new VeritError('VERIT_STATE', {
    path,
    problem: 'its keys were made with another secret than the one in this state folder',
    fix:
      'Copy the file `secret` from the state folder of a gateway that uses this database (mode 600), ' +
      'or restore it from a backup'
  })

class SqlStore implements Store {
  readonly clock: SqlClock
  readonly evidence: Evidence
  readonly keys: SqlKeyStore
  readonly budgets: LeasedBudgets
  #ledger: Ledger
  readonly replay: Ledger
  readonly outbox: SqlOutbox
  #database: Database
  #lazy: LazyCounts
  #timers: NodeJS.Timeout[]
  #name = randomBytes(16).toString('hex')
  #closed: Promise<void> | undefined

  constructor(database: Database, secrets: SealedSecrets, clock: SqlClock, evidence: Evidence) {
    this.#database = database
    this.clock = clock
    this.evidence = evidence
    this.#lazy = new LazyCounts(database)
    const lazy = { count: this.#lazy.count.bind(this.#lazy), flush: () => this.#flush() }
    const ledger = new Ledger(database, clock, lazy)
    this.keys = new SqlKeyStore(database, clock, secrets, async (ids, at) => this.#lazy.touch(ids, at))
    this.#ledger = ledger
    this.budgets = new LeasedBudgets(ledger)
    this.replay = ledger
    this.outbox = new SqlOutbox(database)
    // Failures here are repeated next time; callers that need the store get the error of their own call.
    const every = (ms: number, work: () => Promise<void>): NodeJS.Timeout =>
      setInterval(() => void work().catch(() => {}), ms).unref()
    this.#timers = [
      every(FLUSH_MS, () => this.#flush()),
      every(FLUSH_MS, () => clock.exchange()),
      every(PURGE_MS, () => this.#purge())
    ]
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#timers.forEach(clearInterval)
    await this.budgets.close().catch(() => {}) // what is ahead stays reserved
    await this.#flush().catch(() => {}) // what it holds may be lost
    await this.clock.exchange().catch(() => {})
    await this.#ledger.idle()
    await this.#database.close()
  }

  #flush(): Promise<void> {
    return this.#lazy.flush(tallies => this.#ledger.addCounted(tallies))
  }

  /** One gateway does it for all. */
  async #purge(): Promise<void> {
    if (await takeLease(this.#database, 'purge', this.#name, PURGE_MS - 5000)) await purge(this.#database, this.clock)
  }
}

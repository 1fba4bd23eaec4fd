/**
 * Keys in SQLite: `verit.sqlite` in the state folder. Each check reads the database, so that a key revoked by another process is refused from
 * the next request on. The schema's version is SQLite's `user_version`; it only ever moves forward.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { StatementSync } from 'node:sqlite'
import { VeritError } from '../lib/errors.ts'
import { isKey, newKey } from './key-format.ts'
import { scopes as allScopes } from './key-store.ts'
import type { KeyRecord, KeyStore, NewKey, Scope } from './key-store.ts'
import { serverSecret } from './server-secret.ts'
import { checkPrivate, openStateFolder } from './state-folder.ts'

/** Entry i takes the schema from version i to i + 1. Released entries are never edited. */
const MIGRATIONS = [
  `CREATE TABLE api_key (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32), name TEXT NOT NULL,
    scopes TEXT NOT NULL, created TEXT NOT NULL, revoked TEXT
  ) STRICT`,
]

interface Row { id: string; digest: Uint8Array; name: string; scopes: string; created: string; revoked: string | null }

export class SqliteKeyStore implements KeyStore {
  #db: DatabaseSync
  #secret: Buffer
  #path: string
  #find: StatementSync

  /** Opens the store of a state folder, which is made if there is none. @throws VeritError VERIT_STATE, VERIT_STORE */
  constructor(stateFolder: string) {
    const folder = openStateFolder(stateFolder)
    this.#path = join(folder, 'verit.sqlite')
    this.#secret = serverSecret(folder, existsSync(this.#path))
    // SQLite gives its side files the mode of the database: so that one is made first, and private.
    closeSync(openSync(this.#path, 'a', 0o600))
    checkPrivate(this.#path, 'file')
    this.#db = this.#guard(() => {
      const db = new DatabaseSync(this.#path, { timeout: 5000, enableForeignKeyConstraints: true })
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
      return db
    })
    this.#migrate()
    this.#find = this.#guard(() => this.#db.prepare('SELECT * FROM api_key WHERE digest = ?'))
  }

  create(name: string, scopes: readonly Scope[] = allScopes): NewKey {
    return this.#guard(() => this.#insert(name, scopes))
  }

  createFirst(name: string): NewKey | undefined {
    return this.#transaction(() => {
      if (this.#db.prepare('SELECT 1 FROM api_key LIMIT 1').get() !== undefined) return undefined
      return this.#insert(name, allScopes)
    })
  }

  list(): KeyRecord[] {
    return this.#guard(() => (this.#db.prepare('SELECT * FROM api_key ORDER BY created, id').all() as unknown as Row[]).map(toRecord))
  }

  revoke(id: string): KeyRecord | undefined {
    return this.#transaction(() => {
      this.#db.prepare('UPDATE api_key SET revoked = ? WHERE id = ? AND revoked IS NULL').run(new Date().toISOString(), id)
      const row = this.#db.prepare('SELECT * FROM api_key WHERE id = ?').get(id) as Row | undefined
      return row === undefined ? undefined : toRecord(row)
    })
  }

  verify(key: string): KeyRecord | undefined {
    if (!isKey(key)) return undefined
    const digest = this.#digest(key)
    const row = this.#guard(() => this.#find.get(digest) as Row | undefined)
    // The index compares digests under a secret, whose timing tells an attacker nothing of a key; the comparison that decides is in constant time.
    if (row === undefined || !timingSafeEqual(row.digest, digest) || row.revoked !== null) return undefined
    return toRecord(row)
  }

  close(): void {
    this.#db.close()
  }

  #digest(key: string): Buffer {
    return createHmac('sha256', this.#secret).update(key).digest()
  }

  #insert(name: string, scopes: readonly Scope[]): NewKey {
    const key = newKey()
    const id = `key_${randomBytes(6).toString('hex')}`
    const created = new Date().toISOString()
    this.#db.prepare('INSERT INTO api_key (id, digest, name, scopes, created) VALUES (?, ?, ?, ?, ?)')
      .run(id, this.#digest(key), name, scopes.join(' '), created)
    return { key, record: { id, name, scopes, created, revoked: undefined } }
  }

  #migrate(): void {
    this.#transaction(() => {
      const { user_version: version } = this.#db.prepare('PRAGMA user_version').get() as { user_version: number }
      if (version > MIGRATIONS.length) {
        const fix = 'Use that version, or choose another folder with --state'
        throw new VeritError('VERIT_STATE', { path: this.#path, problem: 'a newer Verit wrote it', fix })
      }
      for (const step of MIGRATIONS.slice(version)) this.#db.exec(step)
      this.#db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`)
    })
  }

  #transaction<T>(work: () => T): T {
    return this.#guard(() => {
      this.#db.exec('BEGIN IMMEDIATE')
      try {
        const result = work()
        this.#db.exec('COMMIT')
        return result
      } catch (e) {
        if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
        throw e
      }
    })
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (e) {
      if (VeritError.is(e)) throw e
      throw new VeritError('VERIT_STORE', { path: this.#path, reason: e instanceof Error ? e.message : String(e) }, e)
    }
  }
}

function toRecord(row: Row): KeyRecord {
  const scopes = row.scopes.split(' ').filter((s): s is Scope => (allScopes as readonly string[]).includes(s))
  return { id: row.id, name: row.name, scopes, created: row.created, revoked: row.revoked ?? undefined }
}

/**
 * The store of pulled models: files under the digest of their content (`sha256/ab/abcd...`), and an index of names in
 * SQLite. A file gets a name only after it is verified and in its place. Both happen in one transaction that excludes
 * other processes, so a crash leaves at most a file without a name, for `gc`.
 */
import { DatabaseSync } from 'node:sqlite'
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync
} from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { digestBytes, isDigest } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import { readLock } from './lock-file.ts'
import { privateFolder } from './models-folder.ts'
import { isAbandoned } from './partial.ts'

export interface StoredModel {
  readonly name: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /** As in verit.lock. */
  readonly source: string
  readonly revision: string | undefined
  /** ISO 8601. */
  readonly pulled: string
  readonly signature: StoredSignature | undefined
}

/** A signature that was fetched with a model, also a file of the store. */
export interface StoredSignature {
  readonly digest: Digest
  /** Path of the model in its signature. */
  readonly signedAs: string
}

export interface Removable {
  /** Path below the store's folder. */
  readonly path: string
  readonly bytes: number
}

/** A file that `gc` leaves. */
export interface Kept extends Removable {
  /** A reference: `the name NAME`, or the path of a lock file. */
  readonly by: readonly string[]
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS names (
    name TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL, source TEXT NOT NULL, revision TEXT,
    pulled TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS locks (path TEXT PRIMARY KEY) STRICT;
  PRAGMA user_version = 1;`
/** Version 2: signatures. */
const SIGNATURES = `
  ALTER TABLE names ADD COLUMN signature TEXT;
  ALTER TABLE names ADD COLUMN signed_as TEXT;
  PRAGMA user_version = 2;`

/**
 * 1 to 100 letters, digits, dots, dashes and underscores; no ending of a model file, so that a name is never a path.
 */
export function isModelName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(text) && !/\.(gguf|safetensors)$/i.test(text)
}

export class ModelStore implements Disposable {
  readonly folder: string
  #db: DatabaseSync

  /** Opens or makes the store. @throws VeritError VERIT_STATE, VERIT_MODEL_STORE, VERIT_FILE_IO */
  constructor(folder: string) {
    this.folder = privateFolder(folder)
    const path = join(this.folder, 'index.db')
    try {
      closeSync(openSync(path, 'a', 0o600))
    } catch (e) {
      throw fileError(e, path, 'write')
    }
    try {
      this.#db = new DatabaseSync(path, { timeout: 30_000 })
      if (this.#version() > 2)
        throw new VeritError('VERIT_MODEL_STORE', { path, problem: 'was written by a newer version of Verit' })
      if (this.#version() < 2) this.exclusively(() => this.#upgrade())
    } catch (e) {
      throw broken(e, path)
    }
  }

  /** Folder of running downloads. */
  get quarantine(): string {
    return privateFolder(join(this.folder, 'quarantine'))
  }

  /** The path of a file with this digest, whether or not it exists. */
  path(digest: Digest): string {
    invariant(isDigest(digest), 'only a digest becomes a path')
    const hex = digest.slice(7)
    return join(this.folder, 'sha256', hex.slice(0, 2), hex)
  }

  has(digest: Digest): boolean {
    return existsSync(this.path(digest))
  }

  list(): StoredModel[] {
    return this.#guard(() => this.#db.prepare('SELECT * FROM names ORDER BY name').all().map(fromRow))
  }

  find(name: string): StoredModel | undefined {
    const row = this.#guard(() => this.#db.prepare('SELECT * FROM names WHERE name = ?').get(name))
    return row === undefined ? undefined : fromRow(row)
  }

  /** Runs `work` while no other process changes the store; on a throw, its changes of the index are undone. */
  exclusively<T>(work: () => T): T {
    this.#guard(() => this.#db.exec('BEGIN IMMEDIATE'))
    try {
      const result = work()
      this.#guard(() => this.#db.exec('COMMIT'))
      return result
    } catch (e) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw e
    }
  }

  /** Stores a few bytes as a file. */
  keep(bytes: Uint8Array): Digest {
    const digest = digestBytes(bytes)
    privateFolder(join(this.folder, 'sha256'))
    privateFolder(join(this.path(digest), '..'))
    writeFileAtomic(this.path(digest), bytes, { mode: 0o400 })
    return digest
  }

  /** Moves a verified file to its place atomically, and makes it read-only. */
  promote(file: string, digest: Digest): void {
    const target = this.path(digest)
    try {
      const fd = openSync(file, 'r')
      fsyncSync(fd)
      closeSync(fd)
      chmodSync(file, 0o400)
      privateFolder(join(this.folder, 'sha256'))
      const folder = privateFolder(join(target, '..'))
      renameSync(file, target)
      for (const each of [folder, join(folder, '..')]) syncFolder(each)
    } catch (e) {
      throw VeritError.is(e) ? e : fileError(e, target, 'write')
    }
  }

  /** Sets a name, replacing its target. */
  name(model: StoredModel): void {
    invariant(isModelName(model.name), 'the name was checked')
    this.#guard(() =>
      this.#db
        .prepare(
          'INSERT OR REPLACE INTO names (name, digest, size, source, revision, pulled, signature, signed_as) ' +
            'VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
        )
        .run(
          model.name,
          model.digest,
          model.size,
          model.source,
          model.revision ?? null,
          model.pulled,
          model.signature?.digest ?? null,
          model.signature?.signedAs ?? null
        )
    )
  }

  /** Records a lock file, whose models `gc` keeps while it exists. @param path absolute */
  noteLock(path: string): void {
    this.#guard(() => this.#db.prepare('INSERT OR IGNORE INTO locks (path) VALUES (?)').run(path))
  }

  /** Takes a name away; the file stays until `gc`. @returns whether there was such a name */
  remove(name: string): boolean {
    return this.#guard(() => this.#db.prepare('DELETE FROM names WHERE name = ?').run(name)).changes > 0
  }

  /** Removes files without a name or lock file, and abandoned downloads. @param dryRun only lists them */
  gc(dryRun: boolean): Removable[] {
    return this.exclusively(() => {
      const wanted = this.#wanted()
      const removable: Removable[] = this.#files()
        .filter(f => !wanted.has(f[1]))
        .map(f => this.#described(f))
      for (const name of readdirSync(this.quarantine).filter(each => isAbandoned(this.quarantine, each))) {
        const path = join('quarantine', name)
        removable.push({ path, bytes: statSync(join(this.folder, path, 'data'), { throwIfNoEntry: false })?.size ?? 0 })
      }
      if (!dryRun) for (const { path } of removable) rmSync(join(this.folder, path), { recursive: true, force: true })
      return removable.toSorted((a, b) => (a.path < b.path ? -1 : 1))
    })
  }

  /** The files that `gc` leaves, and why. */
  kept(): Kept[] {
    return this.exclusively(() => {
      const wanted = this.#wanted()
      return this.#files()
        .flatMap(f => {
          const by = wanted.get(f[1])
          return by === undefined ? [] : [{ ...this.#described(f), by: [...by] }]
        })
        .toSorted((a, b) => (a.path < b.path ? -1 : 1))
    })
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }

  /** References by file name. An unreadable lock file is an error, because its references are unknown. */
  #wanted(): Map<string, Set<string>> {
    const wanted = new Map<string, Set<string>>()
    const hold = (digest: Digest, by: string): void => {
      const name = digest.slice(7)
      wanted.set(name, (wanted.get(name) ?? new Set()).add(by))
    }
    for (const m of this.list()) {
      hold(m.digest, `the name ${m.name}`)
      if (m.signature !== undefined) hold(m.signature.digest, `the name ${m.name}`)
    }
    for (const { path } of this.#db.prepare('SELECT path FROM locks ORDER BY path').all()) {
      for (const { digest } of readLock(String(path)).values()) hold(digest, String(path))
    }
    return wanted
  }

  #described([folder, name]: [folder: string, name: string]): Removable {
    const path = join('sha256', folder, name)
    return { path, bytes: statSync(join(this.folder, path)).size }
  }

  #files(): [folder: string, name: string][] {
    const root = join(this.folder, 'sha256')
    if (!existsSync(root)) return []
    return readdirSync(root)
      .filter(f => /^[0-9a-f]{2}$/.test(f))
      .flatMap(f => readdirSync(join(root, f)).map((n): [string, string] => [f, n]))
  }

  #version(): number {
    return Number(this.#db.prepare('PRAGMA user_version').get()!['user_version'])
  }

  /** Looks again: another process may have been faster. */
  #upgrade(): void {
    if (this.#version() === 0) this.#db.exec(SCHEMA)
    if (this.#version() === 1) this.#db.exec(SIGNATURES)
  }

  #guard<T>(work: () => T): T {
    try {
      return work()
    } catch (e) {
      throw broken(e, join(this.folder, 'index.db'))
    }
  }
}

function fromRow(row: Record<string, unknown>): StoredModel {
  const { name, digest, size, source, revision, pulled, signature, signed_as: signedAs } = row
  if (!isDigest(digest) || (signature !== null && !isDigest(signature)))
    throw new VeritError('VERIT_MODEL_STORE', { path: 'index.db', problem: 'holds a digest that is none' })
  return {
    name: String(name),
    digest,
    size: Number(size),
    source: String(source),
    revision: revision === null ? undefined : String(revision),
    pulled: String(pulled),
    signature: signature === null ? undefined : { digest: signature, signedAs: String(signedAs) }
  }
}

function broken(e: unknown, path: string): unknown {
  if (VeritError.is(e) || !(e instanceof Error)) return e
  const { errcode } = e as { errcode?: number }
  return new VeritError(
    'VERIT_MODEL_STORE',
    { path, problem: errcode === 5 ? 'is in use by another process' : `says: ${e.message}` },
    e
  )
}

function syncFolder(path: string): void {
  if (process.platform === 'win32') return
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  closeSync(fd)
}

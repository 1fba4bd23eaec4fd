/**
 * The tables of the store, the same in both databases, and the handle through which every part of the store reaches
 * them.
 */
import type { Generated, Kysely, Transaction } from 'kysely'

/** Times are ISO 8601 in UTC (so that they sort as text), lists and objects are JSON. */
export interface KeyRow {
  id: string
  kind: string
  name: string
  owner: string
  scopes: string
  models: string
  addresses: string
  signing: string
  limits: string
  created: string
  expires: string | null
  revoked: string | null
  last_used: string | null
}

export interface CredentialRow {
  id: string
  key_id: string
  number: number
  created: string
  /** The end of an overlap after rotation. */
  expires: string | null
  /** HMAC of a secret text. */
  digest: Uint8Array | null
  /** DER SPKI of an Ed25519 key. */
  public_key: Uint8Array | null
  /** SHA-256 of the public key or certificate, hexadecimal. */
  fingerprint: string | null
  /** SealedSecrets: iv, ciphertext, tag. */
  signing_secret: Uint8Array | null
}

export interface Tables {
  verit_meta: { name: string; value: Uint8Array }
  verit_key: KeyRow
  verit_credential: CredentialRow
  /** period: a UTC day (2026-11-22) or month (2026-11). */
  verit_budget: { key_id: string; period: string; used: number; reserved: number }
  /** expires: ms since 1970. */
  verit_nonce: { credential_id: string; nonce: string; expires: number }
  verit_outbox: { id: Generated<number>; time: string; actor: string; type: string; detail: string }
  /** until: ms since 1970 by the database's clock. */
  verit_lease: { name: string; owner: string; until: number }
}

export type Tx = Transaction<Tables>

export interface Database {
  readonly dialect: 'sqlite' | 'postgresql'
  /** For errors: the file, or `in PostgreSQL`. */
  readonly name: string
  /** Runs queries; whatever the database throws becomes VERIT_STORE. */
  run<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>
  /** The same in one transaction, which has been synced to disk when the promise resolves. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /** The same without waiting for the disk: a crash of the machine, not of a process, may undo it. */
  lazyTransaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  close(): Promise<void>
}

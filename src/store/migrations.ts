/**
 * The schema as steps from each version to the next. Entry i migrates a database from version i to i + 1. Released
 * entries are never edited. If the databases differ, a step has a text for each; PostgreSQL begins with version 2,
 * because no earlier one was released for it.
 */
import { VeritError } from '../lib/errors.ts'

export interface Migration {
  readonly sqlite: readonly string[]
  readonly postgresql: readonly string[]
}

/** The tables of version 2, in the words that both databases have. */
function tables(type: { bytes: string; whole: string; serial: string; strict: string }): string[] {
  const { bytes, whole, serial, strict } = type
  return [
    `CREATE TABLE verit_meta (name TEXT PRIMARY KEY, value ${bytes} NOT NULL)${strict}`,
    `CREATE TABLE verit_key (
      id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('secret', 'ed25519', 'certificate')),
      name TEXT NOT NULL, owner TEXT NOT NULL,
      scopes TEXT NOT NULL, models TEXT NOT NULL, addresses TEXT NOT NULL,
      signing TEXT NOT NULL CHECK (signing IN ('never', 'optional', 'required')),
      limits TEXT NOT NULL, created TEXT NOT NULL, expires TEXT, revoked TEXT, last_used TEXT
    )${strict}`,
    `CREATE TABLE verit_credential (
      id TEXT PRIMARY KEY, key_id TEXT NOT NULL REFERENCES verit_key (id), number ${whole} NOT NULL CHECK (number >= 1),
      created TEXT NOT NULL, expires TEXT,
      digest ${bytes} UNIQUE CHECK (length(digest) = 32), public_key ${bytes},
      fingerprint TEXT UNIQUE CHECK (length(fingerprint) = 64),
      signing_secret ${bytes},
      UNIQUE (key_id, number), CHECK ((digest IS NULL) <> (fingerprint IS NULL)),
      CHECK (public_key IS NULL OR fingerprint IS NOT NULL)
    )${strict}`,
    `CREATE TABLE verit_budget (
      key_id TEXT NOT NULL, period TEXT NOT NULL, used ${whole} NOT NULL CHECK (used >= 0),
      reserved ${whole} NOT NULL CHECK (reserved >= 0),
      PRIMARY KEY (key_id, period)
    )${strict}`,
    'CREATE INDEX verit_budget_period ON verit_budget (period)',
    `CREATE TABLE verit_nonce (credential_id TEXT NOT NULL, nonce TEXT NOT NULL, expires ${whole} NOT NULL, ` +
      `PRIMARY KEY (credential_id, nonce))${strict}`,
    'CREATE INDEX verit_nonce_expires ON verit_nonce (expires)',
    `CREATE TABLE verit_outbox (id ${serial}, time TEXT NOT NULL, actor TEXT NOT NULL, type TEXT NOT NULL, detail ` +
      `TEXT NOT NULL)${strict}`,
    `CREATE TABLE verit_lease (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until ${whole} NOT NULL)${strict}`
  ]
}

export const migrations: readonly Migration[] = [
  {
    sqlite: [
      `CREATE TABLE api_key (
      id TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32), name TEXT NOT NULL,
      scopes TEXT NOT NULL, created TEXT NOT NULL, revoked TEXT
    ) STRICT`
    ],
    postgresql: []
  },
  {
    sqlite: [
      // AUTOINCREMENT: the number of an event that has been handed over is never given again
      ...tables({ bytes: 'BLOB', whole: 'INTEGER', serial: 'INTEGER PRIMARY KEY AUTOINCREMENT', strict: ' STRICT' }),
      `INSERT INTO verit_key (id, kind, name, owner, scopes, models, addresses, signing, limits, created, revoked)
        SELECT id, 'secret', name, '', CASE scopes WHEN '' THEN '[]'
          ELSE '["' || replace(scopes, ' ', '","') || '"]' END,
          '[]', '[]', 'never', '{}', created, revoked
        FROM api_key`,
      "INSERT INTO verit_credential (id, key_id, number, created, digest) SELECT id || '.1', id, 1, created, " +
        'digest FROM api_key',
      'DROP TABLE api_key'
    ],
    postgresql: tables({
      bytes: 'BYTEA',
      whole: 'BIGINT',
      serial: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
      strict: ''
    })
  }
]

export function newerVersion(path: string): VeritError {
  const fix = 'Use that version, or choose another folder with --state or another database'
  return new VeritError('VERIT_STATE', { path, problem: 'a newer Verit wrote it', fix })
}

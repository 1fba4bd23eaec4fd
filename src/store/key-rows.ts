/** Rows of the tables to records and back. Database values are checked again if a wrong one would grant access. */
import { VeritError } from '../lib/errors.ts'
import { keyKinds, scopes as allScopes, signingRules } from './key-store.ts'
import type { CredentialRecord, KeyChange, KeyKind, KeyLimits, KeyRecord, Scope, SigningRule } from './key-store.ts'
import type { CredentialRow, KeyRow } from './tables.ts'

export interface KeyWithCredentials {
  readonly key: KeyRow
  /** In order of their numbers. */
  readonly credentials: readonly CredentialRow[]
}

/** Whether a time (ISO 8601, UTC) has been reached; null and undefined never are. */
export const reached = (time: string | null | undefined, now: Date): boolean =>
  typeof time === 'string' && time <= now.toISOString()

/** Neither revoked nor expired. */
export function isValidKey(key: KeyRow, now: Date): boolean {
  return key.revoked === null && !reached(key.expires, now)
}

function parse<T>(text: string, key: KeyRow, isRight: (value: unknown) => boolean): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (!isRight(value)) {
    const fix = 'Restore the database from a backup, or revoke that key'
    throw new VeritError('VERIT_STATE', { path: 'in its database', problem: `the row of ${key.id} is damaged`, fix })
  }
  return value as T
}

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(v => typeof v === 'string')
const isLimits = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every(v => Number.isSafeInteger(v) && (v as number) >= 1)

/** Credentials whose overlap has ended are left out. */
export function toRecord({ key, credentials }: KeyWithCredentials, now: Date): KeyRecord {
  return {
    id: key.id,
    kind: parse<KeyKind>(JSON.stringify(key.kind), key, v => (keyKinds as readonly unknown[]).includes(v)),
    name: key.name,
    owner: key.owner,
    scopes: parse<Scope[]>(key.scopes, key, isTexts).filter(scope => allScopes.includes(scope)),
    models: parse<string[]>(key.models, key, isTexts),
    addresses: parse<string[]>(key.addresses, key, isTexts),
    signing: parse<SigningRule>(JSON.stringify(key.signing), key, v =>
      (signingRules as readonly unknown[]).includes(v)
    ),
    limits: parse<KeyLimits>(key.limits, key, isLimits),
    created: key.created,
    expires: key.expires ?? undefined,
    revoked: key.revoked ?? undefined,
    lastUsed: key.last_used ?? undefined,
    credentials: credentials.filter(c => !reached(c.expires, now)).map(c => toCredentialRecord(c, key))
  }
}

function toCredentialRecord(row: CredentialRow, key: KeyRow): CredentialRecord {
  const ends = [row.expires, key.expires].filter(time => time !== null).sort()
  return { id: row.id, created: row.created, expires: ends[0], fingerprint: row.fingerprint ?? undefined }
}

/** The columns of the fields that are there. */
export function toColumns(change: KeyChange): Partial<KeyRow> {
  return Object.fromEntries(
    Object.entries(change).map(([field, value]) => [
      field,
      typeof value === 'object' ? JSON.stringify(value) : (value ?? null)
    ])
  )
}

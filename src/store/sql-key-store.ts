/**
 * Keys in the database. Nothing is cached between calls: each check reads the database, so a revocation anywhere counts
 * at once.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { CompiledQuery, Kysely } from 'kysely'
import { VeritError, invariant } from '../lib/errors.ts'
import { signingSecret } from '../trust/signing-secret.ts'
import { isCredentialId, isKey, isKeyId, newKey } from './key-format.ts'
import { checkChange, checkNewKey, checkPublic } from './key-options.ts'
import type { CheckedKey, CheckedPublic } from './key-options.ts'
import { isValidKey, reached, toColumns, toRecord } from './key-rows.ts'
import type { KeyWithCredentials } from './key-rows.ts'
import type {
  Actor,
  Credential,
  KeyChange,
  KeyKind,
  KeyRecord,
  KeyStore,
  NewKey,
  NewKeyOptions,
  SigningRule
} from './key-store.ts'
import { record as recordEvent } from './outbox.ts'
import type { SealedSecrets } from './sealed-secrets.ts'
import type { StoreClock } from './store.ts'
import type { CredentialRow, Database, KeyRow, Tables, Tx } from './tables.ts'

/** Longest overlap of a rotation: a year. */
const MAX_OVERLAP_S = 366 * 86_400

/** How a credential is found. */
type Column = 'digest' | 'id' | 'fingerprint'

/** The proof of a new credential, and its columns in the row. */
interface Proof {
  readonly secret: string | undefined
  readonly columns: Pick<CredentialRow, 'digest' | 'public_key' | 'fingerprint' | 'signing_secret'>
}

export class SqlKeyStore implements KeyStore {
  #database: Database
  #clock: StoreClock
  #secrets: SealedSecrets
  #touch: KeyStore['touch']
  #queries = new Map<Column, CompiledQuery<Joined>>()

  /** @param touch notes uses, lazily: see LazyCounts */
  constructor(database: Database, clock: StoreClock, secrets: SealedSecrets, touch: KeyStore['touch']) {
    this.#database = database
    this.#clock = clock
    this.#secrets = secrets
    this.#touch = touch
  }

  async create(options: NewKeyOptions, actor: Actor): Promise<NewKey> {
    const key = checkNewKey(options, this.#clock.now())
    return this.#database.transaction(tx => this.#insert(tx, key, actor))
  }

  async createFirst(name: string): Promise<NewKey | undefined> {
    const key = checkNewKey({ name }, this.#clock.now())
    return this.#database.transaction(async tx => {
      // the row that every database of ours has: who holds it is alone here
      await tx
        .selectFrom('verit_meta')
        .select('name')
        .where('name', '=', 'secret-check')
        .$if(this.#database.dialect === 'postgresql', q => q.forUpdate())
        .execute()
      if ((await tx.selectFrom('verit_key').select('id').limit(1).executeTakeFirst()) !== undefined) return undefined
      return this.#insert(tx, key, 'server')
    })
  }

  async list(): Promise<KeyRecord[]> {
    const now = this.#clock.now()
    return this.#database.run(async db => {
      const keys = await db.selectFrom('verit_key').selectAll().orderBy('created').orderBy('id').execute()
      const credentials = await db.selectFrom('verit_credential').selectAll().orderBy('number').execute()
      const byKey = Map.groupBy(credentials, c => c.key_id)
      return keys.map(key => toRecord({ key, credentials: byKey.get(key.id) ?? [] }, now))
    })
  }

  async get(id: string): Promise<KeyRecord | undefined> {
    const found = await this.#database.run(async db => (isKeyId(id) ? load(db, id) : undefined))
    return found === undefined ? undefined : toRecord(found, this.#clock.now())
  }

  async valid(ids: readonly string[]): Promise<Map<string, KeyRecord>> {
    if (ids.length === 0) return new Map()
    const now = this.#clock.now()
    const rows = await this.#database.run(db =>
      joined(db)
        .where('verit_key.id', 'in', [...new Set(ids)])
        .execute()
    )
    const records = [...Map.groupBy(rows, row => row.key_id).values()]
      .map(split)
      .filter(({ key }) => isValidKey(key, now))
      .map(found => toRecord(found, now))
    return new Map(records.map(record => [record.id, record]))
  }

  async rotate(
    id: string,
    { overlapSeconds, public: bytes }: { overlapSeconds: number; public?: Uint8Array },
    actor: Actor
  ): Promise<NewKey | undefined> {
    if (!Number.isSafeInteger(overlapSeconds) || overlapSeconds < 0 || overlapSeconds > MAX_OVERLAP_S) {
      throw new VeritError('VERIT_KEY_OPTION', { field: 'overlap', problem: 'must be from 0 seconds to 366 days' })
    }
    return this.#database.transaction(async tx => {
      const now = this.#clock.now()
      const found = await this.#lock(tx, id, now)
      if (found === undefined) return undefined
      const { key, credentials } = found
      const number = credentials.at(-1)!.number + 1
      const proof = this.#prove(
        key.kind as KeyKind,
        key.signing as SigningRule,
        checkPublic(key.kind as KeyKind, bytes, now),
        `${id}.${number}`
      )
      await this.#assertNew(tx, proof)
      const overlapUntil = new Date(now.getTime() + overlapSeconds * 1000).toISOString()
      // an older overlap that ends sooner still does
      await tx
        .updateTable('verit_credential')
        .set({ expires: overlapUntil })
        .where('key_id', '=', id)
        .where(eb => eb.or([eb('expires', 'is', null), eb('expires', '>', overlapUntil)]))
        .execute()
      await tx
        .insertInto('verit_credential')
        .values(credentialRow(id, number, now, proof))
        .execute()
      await recordEvent(tx, actor, 'key.rotate', {
        key: id,
        credential: `${id}.${number}`,
        overlapUntil,
        ...publicFacts(proof)
      })
      return { record: toRecord((await load(tx, id))!, now), credentialId: `${id}.${number}`, key: proof.secret }
    })
  }

  async change(id: string, change: KeyChange, actor: Actor): Promise<KeyRecord | undefined> {
    return this.#database.transaction(async tx => {
      const now = this.#clock.now()
      const found = await this.#lock(tx, id, now)
      if (found === undefined) return undefined
      const before = toRecord(found, now)
      const checked = checkChange(change, before.kind, now)
      const changed = (Object.keys(checked) as (keyof KeyChange)[]).filter(
        field => !isDeepStrictEqual(checked[field], before[field])
      )
      if (changed.length === 0) return before
      if (changed.includes('signing')) await this.#changeSigning(tx, found, checked.signing!, now)
      await tx
        .updateTable('verit_key')
        .set(toColumns(Object.fromEntries(changed.map(field => [field, checked[field]]))))
        .where('id', '=', id)
        .execute()
      const after = toRecord((await load(tx, id))!, now)
      const facts = (record: KeyRecord): object =>
        Object.fromEntries(changed.map(field => [field, record[field] ?? null]))
      await recordEvent(tx, actor, 'key.change', { key: id, before: facts(before), after: facts(after) })
      return after
    })
  }

  async revoke(id: string, actor: Actor): Promise<KeyRecord | undefined> {
    const now = this.#clock.now()
    const found = await this.#database.transaction(async tx => {
      if (!isKeyId(id)) return undefined
      const { numUpdatedRows } = await tx
        .updateTable('verit_key')
        .set({ revoked: now.toISOString() })
        .where('id', '=', id)
        .where('revoked', 'is', null)
        .executeTakeFirst()
      if (numUpdatedRows > 0n) await recordEvent(tx, actor, 'key.revoke', { key: id })
      return load(tx, id)
    })
    // outside, so that a row that is damaged can be revoked
    return found === undefined ? undefined : toRecord(found, now)
  }

  async bySecret(key: string): Promise<Credential | undefined> {
    const digest = this.#secrets.digest(key)
    // The index compares digests under a secret, whose timing tells an attacker nothing of a key; the comparison that
    // decides is in constant time.
    return this.#find(
      'digest',
      isKey(key) ? digest : undefined,
      row => row.digest !== null && timingSafeEqual(row.digest, digest)
    )
  }

  async byId(credentialId: string): Promise<Credential | undefined> {
    return this.#find('id', isCredentialId(credentialId) ? credentialId : undefined, row => row.id === credentialId)
  }

  async byCertificate(fingerprint: string): Promise<Credential | undefined> {
    const value = /^[0-9a-f]{64}$/.test(fingerprint) ? fingerprint : undefined
    return this.#find('fingerprint', value, (row, key) => key.kind === 'certificate' && row.fingerprint === fingerprint)
  }

  async touch(ids: readonly string[], at: Date): Promise<void> {
    return this.#touch(ids, at)
  }

  /**
   * One query returns the key and all its credentials; `is` selects the proving one. A malformed value finds nothing,
   * but a closed store still reports so.
   */
  async #find(
    column: Column,
    value: string | Uint8Array | undefined,
    is: (row: CredentialRow, key: KeyRow) => boolean
  ): Promise<Credential | undefined> {
    const rows = await this.#database.run(async db =>
      value === undefined ? [] : (await db.executeQuery(this.#queryBy(db, column, value))).rows
    )
    if (rows.length === 0) return undefined
    const now = this.#clock.now()
    const found = split(rows)
    const row = found.credentials.find(c => is(c, found.key))
    if (row === undefined || !isValidKey(found.key, now) || reached(row.expires, now)) return undefined
    const record = toRecord(found, now)
    return {
      record,
      id: row.id,
      publicKey: row.public_key ?? undefined,
      signingSecret:
        record.signing === 'never' || row.signing_secret === null
          ? undefined
          : this.#secrets.open(row.signing_secret, row.id)
    }
  }

  /** Each request asks this: so the text of the query is made once. */
  #queryBy(db: Kysely<Tables>, column: Column, value: string | Uint8Array): CompiledQuery<Joined> {
    const known = this.#queries.get(column)
    if (known !== undefined) return { ...known, parameters: [value] }
    const compiled = joined(db)
      .where('verit_key.id', '=', eb =>
        eb.selectFrom('verit_credential as wanted').select('wanted.key_id').where(`wanted.${column}`, '=', value)
      )
      .compile()
    this.#queries.set(column, compiled)
    return compiled
  }

  /** The key if it is valid; no other transaction changes it until this one ends. */
  async #lock(tx: Tx, id: string, now: Date): Promise<KeyWithCredentials | undefined> {
    if (!isKeyId(id)) return undefined
    const key = await tx
      .selectFrom('verit_key')
      .selectAll()
      .where('id', '=', id)
      .$if(this.#database.dialect === 'postgresql', q => q.forUpdate())
      .executeTakeFirst()
    return key === undefined || !isValidKey(key, now) ? undefined : load(tx, id)
  }

  #prove(kind: KeyKind, signing: SigningRule, given: CheckedPublic | undefined, credentialId: string): Proof {
    if (kind !== 'secret') {
      invariant(given !== undefined, 'a key pair or certificate without its public part')
      return {
        secret: undefined,
        columns: {
          digest: null,
          public_key: given.publicKey ?? null,
          fingerprint: given.fingerprint,
          signing_secret: null
        }
      }
    }
    const secret = newKey()
    const sealed = signing === 'never' ? null : this.#secrets.seal(signingSecret(secret), credentialId)
    return {
      secret,
      columns: { digest: this.#secrets.digest(secret), public_key: null, fingerprint: null, signing_secret: sealed }
    }
  }

  /** A registered proof stays taken: a revoked certificate does not come back under another name. */
  async #assertNew(tx: Tx, { columns: { fingerprint } }: Proof): Promise<void> {
    if (fingerprint === null) return
    const taken = await tx
      .selectFrom('verit_credential')
      .select('id')
      .where('fingerprint', '=', fingerprint)
      .executeTakeFirst()
    if (taken !== undefined)
      throw new VeritError('VERIT_KEY_OPTION', { field: 'public', problem: `is registered already, as ${taken.id}` })
  }

  async #insert(tx: Tx, key: CheckedKey, actor: Actor): Promise<NewKey> {
    const now = this.#clock.now()
    const id = `key_${randomBytes(6).toString('hex')}`
    const proof = this.#prove(key.kind, key.signing, key.public, `${id}.1`)
    await this.#assertNew(tx, proof)
    const { kind, public: _, ...policy } = key
    const columns = toColumns(policy) as Omit<KeyRow, 'id' | 'kind' | 'created'>
    await tx
      .insertInto('verit_key')
      .values({ id, kind, ...columns, created: now.toISOString() })
      .execute()
    await tx
      .insertInto('verit_credential')
      .values(credentialRow(id, 1, now, proof))
      .execute()
    await recordEvent(tx, actor, 'key.create', {
      key: id,
      credential: `${id}.1`,
      kind,
      ...policy,
      ...publicFacts(proof)
    })
    return { record: toRecord((await load(tx, id))!, now), credentialId: `${id}.1`, key: proof.secret }
  }

  /** Signing needs a secret that is stored only while signing is allowed, so it begins with a rotation. */
  async #changeSigning(
    tx: Tx,
    { key, credentials }: KeyWithCredentials,
    signing: SigningRule,
    now: Date
  ): Promise<void> {
    if (signing === 'never')
      await tx.updateTable('verit_credential').set({ signing_secret: null }).where('key_id', '=', key.id).execute()
    if (signing !== 'required' || credentials.some(c => !reached(c.expires, now) && c.signing_secret !== null)) return
    const hint =
      `Run \`verit keys change ${key.id} --signing optional\`, then \`verit keys rotate ${key.id}\`; ` +
      'with the new secret it can be required'
    throw new VeritError('VERIT_USAGE', {
      problem: `${key.id} was made without signing and has no secret to sign with: it must be rotated first`,
      hint
    })
  }
}

const credentialColumns = [
  'verit_credential.id as credential_id',
  'verit_credential.key_id',
  'verit_credential.number',
  'verit_credential.created as credential_created',
  'verit_credential.expires as credential_expires',
  'verit_credential.digest',
  'verit_credential.public_key',
  'verit_credential.fingerprint',
  'verit_credential.signing_secret'
] as const

function joined(db: Kysely<Tables>) {
  return db
    .selectFrom('verit_key')
    .innerJoin('verit_credential', 'verit_credential.key_id', 'verit_key.id')
    .selectAll('verit_key')
    .select(credentialColumns)
    .orderBy('verit_key.id')
    .orderBy('verit_credential.number')
}

type Joined = KeyRow &
  Omit<CredentialRow, 'id' | 'created' | 'expires'> & {
    credential_id: string
    credential_created: string
    credential_expires: string | null
  }

/** Rows of one key, apart. */
function split(rows: readonly Joined[]): KeyWithCredentials {
  const credentials = rows.map(({ key_id, number, digest, public_key, fingerprint, signing_secret, ...row }) => ({
    id: row.credential_id,
    created: row.credential_created,
    expires: row.credential_expires,
    key_id,
    number,
    digest,
    public_key,
    fingerprint,
    signing_secret
  }))
  return { key: rows[0]!, credentials }
}

async function load(db: Kysely<Tables>, id: string): Promise<KeyWithCredentials | undefined> {
  const rows = await joined(db).where('verit_key.id', '=', id).execute()
  return rows.length === 0 ? undefined : split(rows)
}

function credentialRow(keyId: string, number: number, now: Date, { columns }: Proof): CredentialRow {
  return { id: `${keyId}.${number}`, key_id: keyId, number, created: now.toISOString(), expires: null, ...columns }
}

function publicFacts({ columns: { fingerprint } }: Proof): object {
  return fingerprint === null ? {} : { fingerprint }
}

/**
 * Records of API keys, and the interface of their store. A key has rights (its record); one of its credentials proves
 * it: a secret text, an Ed25519 key pair, or a client certificate. Secrets are never stored: only their HMAC under the
 * server's secret.
 */

/** The scopes of a key. Each route names the scope that it requires. */
export const scopes = ['infer', 'embed', 'models', 'admin', 'metrics', 'audit'] as const
export type Scope = (typeof scopes)[number]
/** Default scopes of a key: using models, nothing else. */
export const defaultScopes: readonly Scope[] = ['infer', 'embed', 'models']

/**
 * `secret`: `verit_...`; `ed25519`: proof of possession, every request is signed; `certificate`: a TLS client
 * certificate.
 */
export const keyKinds = ['secret', 'ed25519', 'certificate'] as const
export type KeyKind = (typeof keyKinds)[number]

/**
 * Whether requests of a key of kind `secret` may or must be signed (HMAC-SHA-256). Keys of kind `ed25519` always must.
 */
export const signingRules = ['never', 'optional', 'required'] as const
export type SigningRule = (typeof signingRules)[number]

/** Limits of one key; absent ones are the server's defaults for keys. All are integers of at least 1. */
export interface KeyLimits {
  readonly requestsPerMinute?: number
  /** Prompt and completion together. */
  readonly tokensPerMinute?: number
  /** Maximum number of running and waiting generations. */
  readonly streams?: number
  /** Budgets: prompt and completion together, by UTC calendar day and month. */
  readonly tokensPerDay?: number
  readonly tokensPerMonth?: number
  readonly promptTokens?: number
  readonly outputTokens?: number
}

export interface CredentialRecord {
  /** The key's id, a dot and a number counted from 1: `key_0123456789ab.1`. This is the `keyid` of signed requests. */
  readonly id: string
  readonly created: string
  /** The end of an overlap after rotation, or the key's own expiry; undefined: none. */
  readonly expires: string | undefined
  /** SHA-256, hexadecimal, of the public key (DER SPKI) or the certificate (DER); undefined for secrets. */
  readonly fingerprint: string | undefined
}

export interface KeyRecord {
  /** Public name for logs and commands: `key_` and 12 hexadecimal digits. */
  readonly id: string
  readonly kind: KeyKind
  /** Name by its owner, at most 64 characters. */
  readonly name: string
  /** Person or team responsible, at most 128 characters; '' by default. */
  readonly owner: string
  readonly scopes: readonly Scope[]
  /** Names of models it may use; empty: all. */
  readonly models: readonly string[]
  /** Allowed addresses and CIDR blocks; empty: all. */
  readonly addresses: readonly string[]
  readonly signing: SigningRule
  readonly limits: KeyLimits
  /** ISO 8601, UTC. */
  readonly created: string
  readonly expires: string | undefined
  readonly revoked: string | undefined
  /** To the minute; undefined: never. */
  readonly lastUsed: string | undefined
  /** Credentials that are valid or may become so no more by time alone, oldest first. */
  readonly credentials: readonly CredentialRecord[]
}

export interface NewKeyOptions {
  readonly name: string
  readonly kind?: KeyKind
  readonly owner?: string
  /** Default: defaultScopes. */
  readonly scopes?: readonly Scope[]
  readonly models?: readonly string[]
  readonly addresses?: readonly string[]
  /** Default: `never` for secrets; always `required` for ed25519. */
  readonly signing?: SigningRule
  readonly limits?: KeyLimits
  /** ISO 8601. */
  readonly expires?: string
  /** ed25519: the public key, DER SPKI. certificate: the certificate, DER. */
  readonly public?: Uint8Array
}

export interface NewKey {
  readonly record: KeyRecord
  /** The credential just made. */
  readonly credentialId: string
  /**
   * The secret text. This is the only moment at which it exists outside its owner's hands. Undefined for the other
   * kinds.
   */
  readonly key: string | undefined
}

/** Fields that can be changed while the key lives. */
export type KeyChange = Partial<
  Pick<KeyRecord, 'name' | 'owner' | 'scopes' | 'models' | 'addresses' | 'signing' | 'limits' | 'expires'>
>

/** A valid credential of a valid key. */
export interface Credential {
  readonly record: KeyRecord
  readonly id: string
  /** ed25519: DER SPKI. */
  readonly publicKey: Uint8Array | undefined
  /**
   * secret, where signing is allowed: the 32 bytes that HMAC signatures are made with, derived from the key
   * (signingSecret).
   */
  readonly signingSecret: Uint8Array | undefined
}

/** Who changes a key: `cli`, `server` (the first key), or the id of an admin's key. The audit log records it. */
export type Actor = string

/**
 * Every method rejects with VERIT_STORE when the store cannot be used: never take that for an answer. "Valid" means not
 * revoked, not expired, now, by the time of the store. Each change leaves, in the same transaction, an event for the
 * audit log (Outbox).
 */
export interface KeyStore {
  create(options: NewKeyOptions, actor: Actor): Promise<NewKey>
  /**
   * Makes a key if the store has never held one, in one transaction, so that of two servers that start together one
   * makes it.
   */
  createFirst(name: string): Promise<NewKey | undefined>
  /** Every key, revoked ones too, oldest first. */
  list(): Promise<KeyRecord[]>
  get(id: string): Promise<KeyRecord | undefined>
  /** The records of those ids that are valid now. */
  valid(ids: readonly string[]): Promise<Map<string, KeyRecord>>
  /** A new credential; earlier ones stay valid for `overlapSeconds`. Undefined if there is no such valid key. */
  rotate(
    id: string,
    options: { overlapSeconds: number; public?: Uint8Array },
    actor: Actor
  ): Promise<NewKey | undefined>
  change(id: string, change: KeyChange, actor: Actor): Promise<KeyRecord | undefined>
  /** Revokes a key at once; returns its record, or undefined if there is no such key. A revoked key keeps its date. */
  revoke(id: string, actor: Actor): Promise<KeyRecord | undefined>
  /** The credential with that secret text, if valid. Compares in constant time. */
  bySecret(key: string): Promise<Credential | undefined>
  /** The credential of that id (`keyid`), if valid. */
  byId(credentialId: string): Promise<Credential | undefined>
  /** The credential with that certificate's SHA-256 (hexadecimal), if valid. */
  byCertificate(fingerprint: string): Promise<Credential | undefined>
  /** Notes that keys were used; lazily, to the minute, losing it is harmless. */
  touch(ids: readonly string[], at: Date): Promise<void>
}

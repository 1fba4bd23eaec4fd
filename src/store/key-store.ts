/** What is kept of API keys and the interface behind which it is kept. The key itself is never stored: only its HMAC under the server's secret. */

/** What a key may do. Each route names the scope it requires. */
export const scopes = ['infer', 'models'] as const
export type Scope = (typeof scopes)[number]

export interface KeyRecord {
  /** Public name for logs and commands: `key_` and 12 hexadecimal digits. */
  readonly id: string
  /** What its owner calls it, at most 64 characters. */
  readonly name: string
  readonly scopes: readonly Scope[]
  /** ISO 8601, UTC. */
  readonly created: string
  readonly revoked: string | undefined
}

export interface NewKey {
  readonly record: KeyRecord
  /** The key. This is the only moment at which it exists outside its owner's hands. */
  readonly key: string
}

export interface KeyStore {
  /** Makes a key. Default scopes: all. */
  create(name: string, scopes?: readonly Scope[]): NewKey
  /** Makes a key if the store has never held one, in one transaction, so that of two servers that start together one makes it. */
  createFirst(name: string): NewKey | undefined
  /** Every key, revoked ones too, oldest first. */
  list(): KeyRecord[]
  /** Revokes a key at once; gives its record, or undefined where there is no such key. A key already revoked keeps its date. */
  revoke(id: string): KeyRecord | undefined
  /**
   * The record of a key that is valid now, else undefined.
   * @throws VeritError VERIT_STORE when the store cannot be read: never take that for an answer
   */
  verify(key: string): KeyRecord | undefined
  close(): void
}

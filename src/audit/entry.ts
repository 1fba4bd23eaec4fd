/**
 * The entries of the audit log. An entry is one JSON object in UTF-8, names sorted, without spaces (so the same facts
 * give the same bytes), of at most 60,000 bytes. It holds no prompt, answer or credential: of texts a salted
 * commitment, of keys the public id.
 */

/**
 * SHA-256 commitment to a text: `sha256-hmac:` and HMAC-SHA-256 (hexadecimal) of the text under the salt of the entry.
 */
export type Commitment = string

interface Common {
  /** ISO 8601, UTC, milliseconds. Never earlier than the entry before. */
  time: string
}

/**
 * A request that was refused before it had a key, or whose key was not allowed. Floods of them are counted in
 * `auth.summary`.
 */
export interface AuthEntry extends Common {
  type: 'auth'
  request: string
  result: 'refused'
  /** Code of the error table. */
  code: string
  remote: string
  route: string
  key?: string
}

export interface AuthSummaryEntry extends Common {
  type: 'auth.summary'
  remote: string
  refused: number
  seconds: number
}

/** A request that was answered or failed after authentication. */
export interface RequestEntry extends Common {
  type: 'request'
  request: string
  remote: string
  route: string
  key: string
  credential: string
  /** How the request proved its key. */
  proof: 'secret' | 'ed25519' | 'hmac-sha256' | 'certificate'
  status: number
  /** Error code, if it failed. */
  code?: string
  model?: string
  /** sha256:... of the model's file. */
  modelDigest?: string
  /** Sampling parameters as applied, the seed included. */
  parameters?: Record<string, unknown>
  promptTokens?: number
  completionTokens?: number
  finish?: string
  prompt?: Commitment
  answer?: Commitment
  ms: number
}

/** A change of keys, from the store's outbox. */
export interface KeyEntry extends Common {
  type: 'key'
  event: string
  /** Number in the outbox: an event that a crash made the log take twice has the same. */
  outbox: number
  actor: string
  at: string
  detail: Record<string, unknown>
}

export interface ServerEntry extends Common {
  type: 'server'
  /**
   * `refused`: the server did not start, because its model was not trusted or could not be loaded. `gap`: the log could
   * not be written for a while, and no generation started.
   */
  event: 'start' | 'stop' | 'model' | 'refused' | 'runner-died' | 'tls-reload' | 'texts-deleted' | 'gap'
  detail: Record<string, unknown>
}

/** The configuration in force after a start or change, without secrets. */
export interface ConfigEntry extends Common {
  type: 'config'
  digest: string
  detail: Record<string, unknown>
}

/** Unusual use. */
export interface AlertEntry extends Common {
  type: 'alert'
  key: string
  rule: string
  detail: Record<string, unknown>
}

export type AuditEntry = AuthEntry | AuthSummaryEntry | RequestEntry | KeyEntry | ServerEntry | ConfigEntry | AlertEntry
/** An entry without its time, which the log sets. */
export type NewAuditEntry = AuditEntry extends infer E ? (E extends AuditEntry ? Omit<E, 'time'> : never) : never

/** The texts of a request, for commitments and, if the operator enables it, for the encrypted store of texts. */
export interface RequestTexts {
  prompt: string
  answer: string
}

/** The log as the gateway uses it. */
export interface AuditLog {
  /**
   * Appends an entry. Resolves with its index when it is on disk (synced) and covered by a signed checkpoint; entries
   * that come together share the cost (group commit). `texts` become the commitments `prompt` and `answer` of a
   * request.
   * @throws VeritError VERIT_AUDIT when it cannot be written: the request must then fail
   */
  append(entry: NewAuditEntry, texts?: RequestTexts): Promise<number>
  /** Entries that are durable. */
  readonly size: number
  /** Name of the log, in its checkpoints. */
  readonly origin: string
  /** C2SP verifier key: `origin+hash+base64`. */
  readonly verifierKey: string
  /** The newest signed checkpoint. */
  checkpoint(): string
  close(): Promise<void>
}

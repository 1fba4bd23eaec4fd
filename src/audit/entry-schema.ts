/** The schema of entries (entry.ts): checked when an entry is written, and again whenever one is read. */
import { Type } from 'typebox'
import type { Static, TProperties } from 'typebox'
import { Compile } from 'typebox/compile'
import { CanonicalError, parseCanonical } from './canonical-json.ts'
import type { AuditEntry } from './entry.ts'

/** Longest entry in bytes. */
export const ENTRY_BYTES = 60_000

const closed = { additionalProperties: false } as const
const text = Type.String({ maxLength: 4096 })
const count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const detail = Type.Record(Type.String(), Type.Unknown())
const time = Type.String({ pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$' })
const commitment = Type.String({ pattern: '^sha256-hmac:[0-9a-f]{64}$' })
const optional = Type.Optional

function kind<K extends string, P extends TProperties>(type: K, properties: P) {
  return Type.Object({ time, type: Type.Literal(type), ...properties }, closed)
}

const kinds = {
  auth: kind('auth', {
    request: text,
    result: Type.Literal('refused'),
    code: text,
    remote: text,
    route: text,
    key: optional(text)
  }),
  'auth.summary': kind('auth.summary', { remote: text, refused: count, seconds: Type.Number({ minimum: 0 }) }),
  request: kind('request', {
    request: text,
    remote: text,
    route: text,
    key: text,
    credential: text,
    proof: Type.Union([
      Type.Literal('secret'),
      Type.Literal('ed25519'),
      Type.Literal('hmac-sha256'),
      Type.Literal('certificate')
    ]),
    status: count,
    code: optional(text),
    model: optional(text),
    modelDigest: optional(text),
    parameters: optional(detail),
    promptTokens: optional(count),
    completionTokens: optional(count),
    finish: optional(text),
    prompt: optional(commitment),
    answer: optional(commitment),
    ms: Type.Number({ minimum: 0 })
  }),
  key: kind('key', { event: text, outbox: count, actor: text, at: text, detail }),
  server: kind('server', {
    event: Type.Union([
      Type.Literal('start'),
      Type.Literal('stop'),
      Type.Literal('model'),
      Type.Literal('refused'),
      Type.Literal('runner-died'),
      Type.Literal('tls-reload'),
      Type.Literal('texts-deleted'),
      Type.Literal('gap')
    ]),
    detail
  }),
  config: kind('config', { digest: text, detail }),
  alert: kind('alert', { key: text, rule: text, detail })
}

export type EntryType = keyof typeof kinds
export const entryTypes = Object.keys(kinds) as EntryType[]

// The schema and the interface must agree: each type of one is a type of the other.
type Schemas = { [K in EntryType]: Static<(typeof kinds)[K]> }[EntryType]
type Same<A, B> = [A] extends [B] ? true : never
export const schemaCoversInterface: Same<AuditEntry['type'], Schemas['type']> &
  Same<Schemas['type'], AuditEntry['type']> = true

const checks = new Map(Object.entries(kinds).map(([type, schema]) => [type, Compile(schema)]))

/** The problem of an entry in a few words; undefined if there is none. */
export function entryProblem(value: unknown): string | undefined {
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
  const check = typeof type === 'string' ? checks.get(type) : undefined
  if (check === undefined) return 'it has no known type'
  if (check.Check(value)) {
    const { time: written } = value as { time: string }
    const ms = Date.parse(written)
    return !Number.isNaN(ms) && new Date(ms).toISOString() === written ? undefined : 'its time is none'
  }
  const [error] = check.Errors(value)
  return (
    `${error?.instancePath === '' || error === undefined ? 'it' : error.instancePath} ` +
    `${error?.message ?? 'does not fit'}`
  )
}

/** Reads an entry from its bytes, strictly. @throws CanonicalError with the problem */
export function parseEntry(bytes: Uint8Array): AuditEntry {
  if (bytes.length > ENTRY_BYTES)
    throw new CanonicalError(`it has ${bytes.length} bytes, and entries have at most ${ENTRY_BYTES}`)
  const value = parseCanonical(bytes)
  const problem = entryProblem(value)
  if (problem !== undefined) throw new CanonicalError(problem)
  return value as AuditEntry
}

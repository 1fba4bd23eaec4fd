/**
 * `/v1/admin/keys`: the functions of `verit keys` over HTTP, for keys with the scope `admin`. Names are in snake_case,
 * as everywhere in the API.
 */
import { X509Certificate, createPublicKey } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Static, TObject, TProperties } from 'typebox'
import { VeritError } from '../lib/errors.ts'
import { keyKinds, scopes, signingRules } from '../store/key-store.ts'
import type { KeyChange, KeyLimits, KeyRecord, NewKey, NewKeyOptions } from '../store/key-store.ts'
import type { BudgetUsage } from '../store/store.ts'
import type { GatewayContext } from './context.ts'
import { fieldError, newReading } from './dialect.ts'
import { bodyReader } from './request-body.ts'

const closed = { additionalProperties: false } as const
const text = (maxLength: number, description: string) => Type.Optional(Type.String({ maxLength, description }))
const oneOf = <T extends string>(values: readonly T[]) => Type.Union(values.map(v => Type.Literal(v)))
const whole = Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }))
const names = (description: string) =>
  Type.Optional(Type.Array(Type.String({ maxLength: 256 }), { maxItems: 256, description }))

const changeable = {
  name: text(64, 'a text of 1 to 64 characters'),
  owner: text(128, 'a text of at most 128 characters'),
  scopes: Type.Optional(
    Type.Array(oneOf(scopes), { maxItems: scopes.length, description: `a list of ${scopes.join(', ')}` })
  ),
  models: names('a list of model names'),
  addresses: names('a list of addresses and CIDR blocks'),
  signing: Type.Optional(
    Type.Union(
      signingRules.map(v => Type.Literal(v)),
      { description: signingRules.join(', ') }
    )
  ),
  limits: Type.Optional(
    Type.Object(
      {
        requests_per_minute: whole,
        tokens_per_minute: whole,
        streams: whole,
        tokens_per_day: whole,
        tokens_per_month: whole,
        prompt_tokens: whole,
        output_tokens: whole
      },
      { ...closed, description: 'an object of limits, each a whole number of at least 1' }
    )
  ),
  expires: text(40, 'a time, ISO 8601; for a change also "never"')
}
/** Unknown fields are refused here, so that whoever creates a key knows that every field took effect. */
function adminReader<P extends TProperties>(honoured: P): (value: unknown) => Static<TObject<P>> {
  const read = bodyReader({ honoured })
  return value => read(value, newReading('refuse'))
}

const readNew = adminReader({
  ...changeable,
  name: Type.String({ minLength: 1, maxLength: 64, description: 'a text of 1 to 64 characters' }),
  kind: Type.Optional(
    Type.Union(
      keyKinds.map(v => Type.Literal(v)),
      { description: keyKinds.join(', ') }
    )
  ),
  public_key: text(4096, 'an Ed25519 public key, PEM'),
  certificate: text(65_536, 'a certificate, PEM')
})
const readChange = adminReader(changeable)
const readRotation = adminReader({
  overlap_seconds: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 366 * 86_400, description: 'a whole number of seconds, at most a year' })
  ),
  public_key: text(4096, 'an Ed25519 public key, PEM'),
  certificate: text(65_536, 'a certificate, PEM')
})

const LIMIT_NAMES: Readonly<Record<string, keyof KeyLimits>> = {
  requests_per_minute: 'requestsPerMinute',
  tokens_per_minute: 'tokensPerMinute',
  streams: 'streams',
  tokens_per_day: 'tokensPerDay',
  tokens_per_month: 'tokensPerMonth',
  prompt_tokens: 'promptTokens',
  output_tokens: 'outputTokens'
}

type Handler = (context: GatewayContext, request: FastifyRequest) => Promise<object>

export const listKeys: Handler = async ({ store }) => ({
  object: 'list',
  data: (await store.keys.list()).map(r => shown(r))
})

export const showKey: Handler = async ({ store }, request) => {
  const record = found(await store.keys.get(idOf(request)))
  return shown(record, await store.budgets.usage(record.id, store.clock.now()))
}

export const createKey: Handler = async (context, request) => {
  const { kind = 'secret', ...body } = readNew(request.body)
  const made = await context.store.keys.create(
    { ...(optionsOf(body) as NewKeyOptions), name: body.name, kind, ...publicOf(body) },
    actorOf(request)
  )
  return fresh(context, made)
}

export const changeKey: Handler = async (context, request) => {
  const change = optionsOf(readChange(request.body))
  const record = found(
    await context.store.keys.change(
      idOf(request),
      change.expires === 'never' ? { ...change, expires: undefined } : change,
      actorOf(request)
    )
  )
  await context.drainOutbox()
  return shown(record)
}

export const rotateKey: Handler = async (context, request) => {
  const body = readRotation(request.body)
  const rotated = await context.store.keys.rotate(
    idOf(request),
    { overlapSeconds: body.overlap_seconds ?? 86_400, ...publicOf(body) },
    actorOf(request)
  )
  return fresh(context, found(rotated))
}

export const revokeKey: Handler = async (context, request) => {
  const record = found(await context.store.keys.revoke(idOf(request), actorOf(request)))
  await context.drainOutbox()
  return shown(record)
}

/** The one answer that holds a key. */
async function fresh(context: GatewayContext, { record, credentialId, key }: NewKey): Promise<object> {
  await context.drainOutbox()
  return { ...shown(record), credential: credentialId, ...(key !== undefined && { key }) }
}

const idOf = (request: FastifyRequest): string => (request.params as { id: string }).id
const actorOf = (request: FastifyRequest): string => request.verit.caller!.record.id

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new VeritError('VERIT_NOT_FOUND', { what: 'key of that id that could be used so' })
  return value
}

function optionsOf({
  limits,
  ...rest
}: { limits?: Record<string, number | undefined> } & Record<string, unknown>): KeyChange {
  const { public_key: _p, certificate: _c, ...fields } = rest
  const own =
    limits === undefined
      ? {}
      : { limits: Object.fromEntries(Object.entries(limits).map(([name, value]) => [LIMIT_NAMES[name]!, value])) }
  return { ...fields, ...own }
}

/** @throws VeritError VERIT_REQUEST where the PEM cannot be read */
function publicOf(body: { public_key?: string; certificate?: string }): { public?: Uint8Array } {
  const { public_key: key, certificate } = body
  try {
    if (key !== undefined)
      return { public: createPublicKey({ key, format: 'pem', type: 'spki' }).export({ format: 'der', type: 'spki' }) }
    if (certificate !== undefined) return { public: new X509Certificate(certificate).raw }
  } catch {
    throw fieldError(key !== undefined ? 'public_key' : 'certificate', 'cannot be read as PEM')
  }
  return {}
}

/** A key as clients see it. */
function shown(record: KeyRecord, usage?: BudgetUsage): object {
  const limits = Object.fromEntries(
    Object.entries(LIMIT_NAMES).flatMap(([name, field]) =>
      record.limits[field] === undefined ? [] : [[name, record.limits[field]]]
    )
  )
  const { id, kind, name, owner, models, addresses, signing, created, credentials } = record
  return {
    object: 'key',
    id,
    kind,
    name,
    owner,
    scopes: record.scopes,
    models,
    addresses,
    signing,
    limits,
    created,
    expires: record.expires ?? null,
    revoked: record.revoked ?? null,
    last_used: record.lastUsed ?? null,
    credentials: credentials.map(c => ({
      id: c.id,
      created: c.created,
      expires: c.expires ?? null,
      fingerprint: c.fingerprint ?? null
    })),
    ...(usage !== undefined && { usage })
  }
}

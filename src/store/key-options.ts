/**
 * Checks the requested fields of a key before any of it is stored: each field has a range, and unknown fields are
 * refused. Every result is in the canonical form in which it is stored.
 */
import { X509Certificate, createHash } from 'node:crypto'
import { formatBlock, parseBlock } from '../lib/address.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { ed25519FromSpki, fingerprint } from '../trust/ed25519.ts'
import { defaultScopes, keyKinds, scopes as allScopes, signingRules } from './key-store.ts'
import type { KeyChange, KeyKind, KeyLimits, NewKeyOptions, Scope, SigningRule } from './key-store.ts'

/** The limits a key can have. */
const keyLimits: readonly string[] = [
  'requestsPerMinute',
  'tokensPerMinute',
  'streams',
  'tokensPerDay',
  'tokensPerMonth',
  'promptTokens',
  'outputTokens'
] satisfies (keyof KeyLimits)[]

const MODELS = 100
const ADDRESSES = 256
const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$/
const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/

export interface CheckedPublic {
  /** DER SPKI; undefined for a certificate, of which only the fingerprint is stored. */
  readonly publicKey: Uint8Array | undefined
  readonly fingerprint: string
}

export interface CheckedKey {
  readonly kind: KeyKind
  readonly name: string
  readonly owner: string
  readonly scopes: readonly Scope[]
  readonly models: readonly string[]
  readonly addresses: readonly string[]
  readonly signing: SigningRule
  readonly limits: KeyLimits
  readonly expires: string | undefined
  readonly public: CheckedPublic | undefined
}

function bad(field: string, problem: string): never {
  throw new VeritError('VERIT_KEY_OPTION', { field, problem })
}

function label(value: unknown, field: string, least: number, most: number): string {
  const isText = typeof value === 'string' && value.length >= least && value.length <= most && value.isWellFormed()
  if (!isText || printable(value) !== value || value.trim() !== value) {
    bad(field, `must be ${least} to ${most} printable characters, without a backslash and without spaces at its ends`)
  }
  return value
}

function list(value: unknown, field: string, most: number): readonly string[] {
  if (!Array.isArray(value) || value.length > most || value.some(v => typeof v !== 'string'))
    bad(field, `must be a list of at most ${most} texts`)
  return [...new Set(value as string[])]
}

function oneOf<T extends string>(value: unknown, choices: readonly T[], field: string): T {
  if (!(choices as readonly unknown[]).includes(value)) bad(field, `must be one of ${choices.join(', ')}`)
  return value as T
}

function checkScopes(value: unknown): readonly Scope[] {
  const given = list(value, 'scopes', allScopes.length)
  given.forEach(scope => oneOf(scope, allScopes, 'scopes'))
  if (given.length === 0) bad('scopes', 'must name at least one scope')
  return allScopes.filter(scope => given.includes(scope))
}

function checkModels(value: unknown): readonly string[] {
  const given = list(value, 'models', MODELS)
  for (const name of given)
    if (!MODEL_NAME.test(name))
      bad('models', `has ${JSON.stringify(printable(name, 100))}, which cannot be the name of a model`)
  return given
}

function checkAddresses(value: unknown): readonly string[] {
  return [
    ...new Set(
      list(value, 'addresses', ADDRESSES).map(text => {
        const block = parseBlock(text)
        if (block === undefined) {
          bad(
            'addresses',
            `has ${JSON.stringify(printable(text, 60))}, which is neither an IP address nor a CIDR block such as ` +
              '192.0.2.0/24'
          )
        }
        return formatBlock(block)
      })
    )
  ]
}

function checkLimits(value: unknown): KeyLimits {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) bad('limits', 'must be an object')
  const limits: Partial<Record<keyof KeyLimits, number>> = {}
  for (const [name, limit] of Object.entries(value)) {
    if (!keyLimits.includes(name))
      bad(`limits.${printable(name, 40)}`, `is not a limit; there are ${keyLimits.join(', ')}`)
    if (limit === undefined) continue
    if (!Number.isSafeInteger(limit) || limit < 1) bad(`limits.${name}`, 'must be a whole number of at least 1')
    limits[name as keyof KeyLimits] = limit as number
  }
  return limits
}

function checkExpires(value: unknown, now: Date): string | undefined {
  if (value === undefined) return undefined
  const at = typeof value === 'string' && ISO.test(value) ? new Date(value) : undefined
  if (at === undefined || Number.isNaN(at.getTime()) || at.getUTCFullYear() > 9999) {
    bad('expires', 'must be a date as in 2027-01-31 or 2027-01-31T12:00:00Z (on the command line also 90d)')
  }
  if (at <= now) bad('expires', `lies in the past (${at.toISOString()})`)
  return at.toISOString()
}

function checkSigning(value: unknown, kind: KeyKind): SigningRule {
  const natural = kind === 'ed25519' ? 'required' : 'never'
  const rule = oneOf(value ?? natural, signingRules, 'signing')
  if (kind === 'ed25519' && rule !== 'required')
    bad('signing', 'must be required for a key of kind ed25519: its signatures are its proof')
  if (kind === 'certificate' && rule !== 'never')
    bad('signing', 'must be never for a key of kind certificate: there is no secret to sign with')
  return rule
}

/** The public half of a key pair, or a certificate, in the only form that is accepted. */
export function checkPublic(kind: KeyKind, bytes: unknown, now: Date): CheckedPublic | undefined {
  if (kind === 'secret') {
    if (bytes !== undefined) bad('public', 'is not for keys of kind secret')
    return undefined
  }
  if (!(bytes instanceof Uint8Array))
    bad('public', kind === 'ed25519' ? 'must be an Ed25519 public key (DER SPKI)' : 'must be a certificate (DER)')
  if (kind === 'ed25519') {
    try {
      ed25519FromSpki(bytes)
    } catch (e) {
      bad(
        'public',
        VeritError.is(e) && 'problem' in e.fields
          ? `cannot be used: ${e.fields.problem}`
          : 'must be an Ed25519 public key (DER SPKI)'
      )
    }
    return { publicKey: new Uint8Array(bytes), fingerprint: fingerprint(bytes) }
  }
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(bytes)
  } catch {
    bad('public', 'must be an X.509 certificate (DER)')
  }
  if (!certificate.raw.equals(bytes)) bad('public', 'must be one X.509 certificate (DER) and nothing else')
  if (certificate.validToDate <= now)
    bad('public', `is a certificate that expired on ${certificate.validToDate.toISOString()}`)
  return { publicKey: undefined, fingerprint: createHash('sha256').update(bytes).digest('hex') }
}

const optionNames: readonly string[] = [
  'name',
  'kind',
  'owner',
  'scopes',
  'models',
  'addresses',
  'signing',
  'limits',
  'expires',
  'public'
] satisfies (keyof NewKeyOptions)[]

/** @throws VeritError VERIT_KEY_OPTION, which names the field */
export function checkNewKey(options: NewKeyOptions, now: Date): CheckedKey {
  for (const field of Object.keys(options))
    if (!optionNames.includes(field)) bad(printable(field, 40), 'is not an option of a key')
  const kind = oneOf(options.kind ?? 'secret', keyKinds, 'kind')
  return {
    kind,
    name: label(options.name, 'name', 1, 64),
    owner: label(options.owner ?? '', 'owner', 0, 128),
    scopes: checkScopes(options.scopes ?? defaultScopes),
    models: checkModels(options.models ?? []),
    addresses: checkAddresses(options.addresses ?? []),
    signing: checkSigning(options.signing, kind),
    limits: checkLimits(options.limits ?? {}),
    expires: checkExpires(options.expires, now),
    public: checkPublic(kind, options.public, now)
  }
}

/** The fields that are there, checked. @throws VeritError VERIT_KEY_OPTION, which names the field */
export function checkChange(change: KeyChange, kind: KeyKind, now: Date): KeyChange {
  const checks: { [F in keyof Required<KeyChange>]: (value: unknown) => KeyChange[F] } = {
    name: v => label(v, 'name', 1, 64),
    owner: v => label(v, 'owner', 0, 128),
    scopes: checkScopes,
    models: checkModels,
    addresses: checkAddresses,
    signing: v => checkSigning(v, kind),
    limits: checkLimits,
    expires: v => checkExpires(v, now)
  }
  return Object.fromEntries(
    Object.entries(change).map(([field, value]) => {
      if (!Object.hasOwn(checks, field)) bad(printable(field, 40), 'cannot be changed')
      return [field, checks[field as keyof KeyChange](value)]
    })
  )
}

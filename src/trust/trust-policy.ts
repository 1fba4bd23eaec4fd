/**
 * Which models may be served: `trust.toml`. Signers with the names of models that count when they signed them, digests
 * with the names they are trusted under, and whether a model may go without. What is not said is refused; what is not
 * understood makes the whole file unusable. unsigned = "refuse"                  # or "allow"
 *   allow_unsigned = ["scratch-*"]       # names that may go without
 *   allow_ed25519 = false
 *   default_model = true                 # the model that comes with Verit, signed by its makers
 *   [signers.team]
 *   public_key = "-----BEGIN PUBLIC KEY-----..."
 *   models = ["team-*"]
 *   [digests]
 *   my-model = ["sha256:..."]
 */
import { existsSync } from 'node:fs'
import { basename } from 'node:path'
import { TomlError, parse, stringify } from 'smol-toml'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { DEFAULT_MODEL, defaultSignerPath } from '../lib/default-model.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { publicKeyFromPem } from './model-key.ts'
import type { TrustedSigner } from './oms-verify.ts'

const MAX_BYTES = 1 << 20
const closed = { additionalProperties: false } as const
/** No control characters: names are shown. */
const name = (maxLength: number) => Type.String({ minLength: 1, maxLength, pattern: '^[^\\x00-\\x1f\\x7f]+$' })
const names = Type.Array(name(200), { maxItems: 1000 })
const PolicyFile = Type.Object(
  {
    unsigned: Type.Optional(Type.Union([Type.Literal('refuse'), Type.Literal('allow')])),
    allow_unsigned: Type.Optional(names),
    allow_ed25519: Type.Optional(Type.Boolean()),
    default_model: Type.Optional(Type.Boolean()),
    signers: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Object(
          {
            public_key: Type.String({ maxLength: 16_384 }),
            models: Type.Array(name(200), { minItems: 1, maxItems: 1000 })
          },
          closed
        )
      )
    ),
    digests: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Array(Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }), { minItems: 1, maxItems: 1000 })
      )
    )
  },
  closed
)
/** As the file has it. */
export type PolicyFile = Static<typeof PolicyFile>

export interface PolicySigner extends TrustedSigner {
  /** Names of models, `*` for any characters. */
  readonly models: readonly string[]
}

export interface TrustPolicy {
  /** Name in errors. */
  readonly source: string
  readonly file: PolicyFile
  /** Signers of the file, and of the default model unless the file disables it. */
  readonly signers: readonly PolicySigner[]
}

/** Name of the signer of the default model; the file cannot use it for another. */
export const DEFAULT_SIGNER = 'verit'

/** The name under which a model is trusted: its file's, without `.gguf`; of a folder its own. */
export const trustName = (path: string): string => basename(path).replace(/\.gguf$/i, '')

/**
 * The policy in a file; the default policy if the file is missing and `optional`. @throws VeritError VERIT_TRUST,
 * VERIT_OTHERS_OWN, VERIT_OTHERS_WRITE and those of opening
 */
export function loadTrustPolicy(path: string, optional = false): TrustPolicy {
  if (optional && !existsSync(path)) return parseTrustPolicy('', path)
  const bytes = readTrusted(path, {
    kind: 'decides',
    purpose: 'the trust policy',
    limit: MAX_BYTES,
    tooLong: () => new VeritError('VERIT_TRUST', { path, problem: `it has more than ${MAX_BYTES} bytes` })
  })
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return fail(path, 'it is not UTF-8')
  }
  return parseTrustPolicy(text, path)
}

/** @throws VeritError VERIT_TRUST, VERIT_KEY_FILE, VERIT_PUBLIC_KEY */
export function parseTrustPolicy(text: string, source: string): TrustPolicy {
  let value: unknown
  try {
    value = parse(text, { maxDepth: 8 })
  } catch (e) {
    if (!(e instanceof TomlError)) throw e
    return fail(
      source,
      `line ${e.line} is not TOML: ${printable(e.message.split('\n')[0]!.replace('Invalid TOML document: ', ''), 200)}`
    )
  }
  if (!Value.Check(PolicyFile, value)) return fail(source, schemaProblem(value))
  return policyOf(value, source)
}

/** The policy that a changed file would be; checked as one that is read. @throws VeritError as parseTrustPolicy */
export const changeTrustPolicy = (policy: TrustPolicy, change: Partial<PolicyFile>): TrustPolicy =>
  parseTrustPolicy(stringify({ ...policy.file, ...change }), policy.source)

/** Replaces the file; comments in it are lost. @throws VeritError VERIT_FILE_IO */
export function writeTrustPolicy(policy: TrustPolicy): void {
  writeFileAtomic(
    policy.source,
    '# Which models are trusted: ' + `docs/internals/model-signing.md\n${stringify(policy.file)}`,
    {
      mode: 0o600
    }
  )
}

function policyOf(file: PolicyFile, source: string): TrustPolicy {
  const signers = Object.entries(file.signers ?? {}).map(([signer, { public_key: pem, models }]): PolicySigner => {
    if (!/^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$/.test(signer))
      fail(
        source,
        `"${printable(signer, 100)}" is not a name for a signer (letters, digits, dots, dashes, underscores, @)`
      )
    if (signer === DEFAULT_SIGNER) fail(source, `the name ${DEFAULT_SIGNER} is that of the signer of the default model`)
    return { name: signer, key: publicKeyFromPem(pem, `${source}, signer ${signer}`), models }
  })
  const own = defaultSignerPath()
  if (file.default_model !== false && existsSync(own)) {
    const pem = readTrusted(own, { kind: 'decides', purpose: 'the key of the default model', limit: MAX_BYTES })
    const key = publicKeyFromPem(pem.toString('utf8'), own)
    signers.push({ name: DEFAULT_SIGNER, key, models: [DEFAULT_MODEL] })
  }
  return { source, file, signers }
}

/** Whether a name fits one of the patterns, in which `*` stands for any characters. */
export function fitsAny(model: string, patterns: readonly string[]): boolean {
  return patterns.some(p => fits(model, p))
}

/** In linear passes over the fixed pieces: no pattern takes long. */
function fits(model: string, pattern: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  if (rest.length === 0) return model === pattern
  const last = rest.pop()!
  if (!model.startsWith(first) || model.length < first.length + last.length || !model.endsWith(last)) return false
  let at = first.length
  for (const piece of rest) {
    const found = model.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return at <= model.length - last.length
}

function schemaProblem(value: unknown): string {
  const first = Value.Errors(PolicyFile, value).find(e => e.keyword !== 'anyOf')
  return first === undefined
    ? 'it says something that a policy cannot say'
    : `${printable(first.instancePath, 100) || 'it'} ${printable(first.message, 200)}`
}

function fail(path: string, problem: string): never {
  throw new VeritError('VERIT_TRUST', { path, problem })
}

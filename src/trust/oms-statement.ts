/**
 * The signed statement about a model: an in-toto Statement v1 with the predicate of OpenSSF Model Signing 1.0 (sections
 * 5 and 6), a list of files and their SHA-256. Parsed strictly: a statement that contradicts itself, names a file
 * outside the model or twice, or is not sorted is refused.
 */
import { createHash } from 'node:crypto'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { parseStrictJson } from '../lib/strict-json.ts'

export const PREDICATE_TYPE = 'https://model_signing/signature/v1.0'
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'
/** Left out of every model, at its top only (section 6.2). */
export const DEFAULT_IGNORED = ['.git', '.gitattributes', '.github', '.gitignore'] as const
export const MAX_FILES = 10_000

const hex = Type.String({ pattern: '^[0-9a-f]{64}$' })
const Resource = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 4096 }),
  digest: hex,
  algorithm: Type.Literal('sha256')
})
const closed = { additionalProperties: false } as const
const Statement = Type.Object({
  _type: Type.Literal(STATEMENT_TYPE),
  subject: Type.Array(
    Type.Object({ name: Type.String({ minLength: 1, maxLength: 4096 }), digest: Type.Object({ sha256: hex }, closed) }),
    { minItems: 1, maxItems: 1 }
  ),
  predicateType: Type.Literal(PREDICATE_TYPE),
  predicate: Type.Object(
    {
      resources: Type.Array(Resource, { minItems: 1, maxItems: MAX_FILES }),
      serialization: Type.Object(
        {
          method: Type.Union([Type.Literal('files'), Type.Literal('shards')]),
          hash_type: Type.Literal('sha256'),
          shard_size: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
          allow_symlinks: Type.Literal(false),
          ignore_paths: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), { maxItems: 1000 }))
        },
        closed
      )
    },
    closed
  )
})
export type OmsStatement = Static<typeof Statement>

/** A file, or with shards a range of its bytes. */
export interface SignedPart {
  /** Relative, with `/`. */
  readonly path: string
  /** First byte and the one after the last; the whole file where absent. */
  readonly range?: readonly [number, number]
  /** SHA-256, 64 hexadecimal digits. */
  readonly digest: string
}

export interface SignedModel {
  /** Name given by the signer, without meaning. */
  readonly name: string
  readonly parts: readonly SignedPart[]
  /** Bytes of each range but a file's last; undefined: whole files. */
  readonly shardSize: number | undefined
  /** Paths that the signer excluded, besides the default ones. */
  readonly ignored: readonly string[]
}

/** By Unicode code points, which is the order of UTF-8 bytes (JavaScript's own order is that of UTF-16). */
export const byCodePoints = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** The problem of a file path in a statement, to complete "NAME ..."; undefined if there is none (section 6.1.2). */
export function pathProblem(path: string): string | undefined {
  if (!path.isWellFormed()) return 'cannot be written as UTF-8'
  if (path.includes('\0')) return 'holds a NUL'
  if (path.startsWith('/')) return 'is not relative'
  const parts = path.split('/')
  if (parts.includes('..')) return 'leads out of the model'
  return parts.includes('.') || parts.includes('') ? 'is not in its shortest form' : undefined
}

/** The bytes to sign. `files` need not be sorted. */
export function encodeStatement(
  name: string,
  files: readonly { path: string; digest: string }[],
  ignored: readonly string[]
): Buffer {
  const resources = files
    .toSorted((a, b) => byCodePoints(a.path, b.path))
    .map(f => ({ name: f.path, digest: f.digest, algorithm: 'sha256' as const }))
  const statement: OmsStatement = {
    _type: STATEMENT_TYPE,
    subject: [{ name, digest: { sha256: rootDigest(resources) } }],
    predicateType: PREDICATE_TYPE,
    predicate: {
      resources,
      serialization: {
        method: 'files',
        hash_type: 'sha256',
        allow_symlinks: false,
        ignore_paths: [...new Set([...DEFAULT_IGNORED, ...ignored])].sort(byCodePoints)
      }
    }
  }
  return Buffer.from(JSON.stringify(statement))
}

/** @param source what to call the bundle in errors. @throws VeritError VERIT_BUNDLE */
export function parseStatement(payload: Uint8Array, source: string): SignedModel {
  const fail = (problem: string): never => {
    throw new VeritError('VERIT_BUNDLE', { source, problem })
  }
  let value: unknown
  try {
    value = parseStrictJson(payload)
  } catch (e) {
    return fail(`its statement: ${VeritError.is(e) ? e.what : String(e)}`)
  }
  if (!Value.Check(Statement, value)) return fail(schemaProblem(value))
  const { resources, serialization } = value.predicate
  const { method, shard_size: shardSize, ignore_paths: ignored = [] } = serialization
  if ((method === 'shards') !== (shardSize !== undefined))
    return fail(method === 'shards' ? 'shard_size is missing' : 'shard_size is there, though whole files were signed')
  for (const path of ignored)
    if (/^\/|(?:^|\/)\.\.(?:\/|$)|[*?[\0]/.test(path) || !path.isWellFormed())
      fail(`ignore_paths holds "${printable(path, 200)}", which is not a path in the model`)
  const parts = resources.map(r => part(r, shardSize, fail))
  if (
    !sorted(
      resources.map(r => r.name),
      parts
    )
  )
    fail('its files are not sorted, or one is named twice')
  if (shardSize !== undefined) checkRanges(parts, shardSize, fail)
  if (value.subject[0]!.digest.sha256 !== rootDigest(resources)) fail('its root digest is not that of its files')
  return { name: value.subject[0]!.name, parts, shardSize, ignored }
}

/** Section 6.5.1: SHA-256 over the digests, in order. */
function rootDigest(resources: readonly { digest: string }[]): string {
  const hash = createHash('sha256')
  for (const r of resources) hash.update(r.digest, 'hex')
  return hash.digest('hex')
}

function part(
  { name, digest }: Static<typeof Resource>,
  shardSize: number | undefined,
  fail: (problem: string) => never
): SignedPart {
  const [, file, start, end] =
    shardSize === undefined ? [name, name] : (/^(.+):(0|[1-9]\d{0,15}):([1-9]\d{0,15})$/su.exec(name) ?? [])
  if (file === undefined) return fail(`"${printable(name, 200)}" names no range of bytes`)
  const problem = pathProblem(file)
  if (problem !== undefined) return fail(`the name "${printable(file, 200)}" ${problem}`)
  return shardSize === undefined ? { path: file, digest } : { path: file, digest, range: [Number(start), Number(end)] }
}

/**
 * Strictly ascending by the code points of the names, as the specification has it; or by the parts of the path, as the
 * reference implementation (which compares paths, and ranges as numbers) writes them. They differ where a name goes on
 * after "a" with something below "/", as in "a-b".
 */
function sorted(names: readonly string[], parts: readonly SignedPart[]): boolean {
  const byPath = (a: SignedPart, b: SignedPart): number => {
    const [x, y] = [a.path.split('/'), b.path.split('/')]
    for (let i = 0; i < Math.min(x.length, y.length); i++) if (x[i] !== y[i]) return byCodePoints(x[i]!, y[i]!)
    return x.length - y.length || (a.range?.[0] ?? 0) - (b.range?.[0] ?? 0)
  }
  return (
    names.every((n, i) => i === 0 || byCodePoints(names[i - 1]!, n) < 0) ||
    parts.every((p, i) => i === 0 || byPath(parts[i - 1]!, p) < 0)
  )
}

/** Each file's ranges must begin at 0, follow one another, and be of the one size but for the last. */
function checkRanges(parts: readonly SignedPart[], size: number, fail: (problem: string) => never): void {
  for (const [path, ranges] of Map.groupBy(parts, p => p.path)) {
    const ascending = ranges.map(p => p.range!).sort((a, b) => a[0] - b[0])
    for (const [i, [start, end]] of ascending.entries()) {
      const whole = i < ascending.length - 1
      if (start !== i * size || end <= start || (whole ? end !== start + size : end > start + size))
        fail(`the ranges of "${printable(path, 200)}" do not cover it once`)
    }
  }
}

function schemaProblem(value: unknown): string {
  const type = (value as { predicateType?: unknown } | null)?.predicateType
  if (typeof type === 'string' && type !== PREDICATE_TYPE)
    return `it is a statement of another kind (${printable(type, 100)})`
  const [first] = Value.Errors(Statement, value)
  return (
    'its statement is not of OpenSSF Model Signing ' +
    `1.0${first === undefined ? '' : `: ${printable(first.instancePath, 100)} ${printable(first.message, 200)}`}`
  )
}

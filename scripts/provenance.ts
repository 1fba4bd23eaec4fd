/**
 * Where a release came from: an in-toto Statement v1 with the predicate SLSA Provenance v1, signed in a DSSE envelope.
 * Sources: github.com/in-toto/attestation spec/v1, slsa.dev/spec/v1.0/provenance, github.com/secure-systems-lab/dsse.
 */
import { hash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { Type } from 'typebox'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import { preAuthEncoding } from '../src/trust/dsse.ts'
import { holds, signWith } from '../src/trust/model-key.ts'
import type { ModelKey } from '../src/trust/model-key.ts'

const STATEMENT = 'https://in-toto.io/Statement/v1'
const PREDICATE = 'https://slsa.dev/provenance/v1'
const PAYLOAD = 'application/vnd.in-toto+json'
const BUILD_TYPE = 'urn:verit:npm-pack:v1'

const text = Type.String({ maxLength: 2000 })
const digest = (length: number): ReturnType<typeof Type.String> => Type.String({ pattern: `^[0-9a-f]{${length}}$` })

const Statement = Type.Object({
  _type: Type.Literal(STATEMENT),
  subject: Type.Array(Type.Object({ name: text, digest: Type.Object({ sha256: digest(64), sha512: digest(128) }) }), {
    minItems: 1,
    maxItems: 1
  }),
  predicateType: Type.Literal(PREDICATE),
  predicate: Type.Object({
    buildDefinition: Type.Object({
      buildType: Type.Literal(BUILD_TYPE),
      externalParameters: Type.Object({ command: text, commit: text, repository: Type.Optional(text) }),
      internalParameters: Type.Object({ node: text, npm: text, platform: text, sourceDateEpoch: Type.Integer() }),
      resolvedDependencies: Type.Array(
        Type.Object({ name: text, uri: Type.Optional(text), digest: Type.Record(Type.String(), text) })
      )
    }),
    runDetails: Type.Object({
      builder: Type.Object({ id: text }),
      metadata: Type.Object({ startedOn: text, finishedOn: text })
    })
  })
})
export type Statement = Static<typeof Statement>

const Envelope = Type.Object({
  payloadType: Type.Literal(PAYLOAD),
  payload: Type.String(),
  signatures: Type.Array(Type.Object({ keyid: Type.Optional(text), sig: text }), { minItems: 1, maxItems: 16 })
})

export interface Build {
  readonly tarball: { readonly name: string; readonly bytes: Uint8Array }
  readonly command: string
  /** Of the commit that was checked out, hexadecimal. */
  readonly commit: string
  readonly repository?: string | undefined
  /** The lock files of the packages that the build used. */
  readonly locks: readonly { readonly name: string; readonly bytes: Uint8Array }[]
  readonly node: string
  readonly npm: string
  readonly platform: string
  /** Seconds since 1970, of the commit. */
  readonly sourceDateEpoch: number
  /** A URI that names who built. */
  readonly builder: string
  readonly started: Date
  readonly finished: Date
}

export function provenance({
  tarball,
  command,
  commit,
  repository,
  locks,
  node,
  npm,
  platform,
  sourceDateEpoch,
  builder,
  started,
  finished
}: Build): Statement {
  const source = {
    name: 'source',
    ...(repository !== undefined && { uri: `git+${repository}@${commit}` }),
    digest: { gitCommit: commit }
  }
  return {
    _type: STATEMENT,
    subject: [
      { name: tarball.name, digest: { sha256: hash('sha256', tarball.bytes), sha512: hash('sha512', tarball.bytes) } }
    ],
    predicateType: PREDICATE,
    predicate: {
      buildDefinition: {
        buildType: BUILD_TYPE,
        externalParameters: { command, commit, ...(repository !== undefined && { repository }) },
        internalParameters: { node, npm, platform, sourceDateEpoch },
        resolvedDependencies: [
          source,
          ...locks.map(lock => ({ name: lock.name, digest: { sha256: hash('sha256', lock.bytes) } }))
        ]
      },
      runDetails: {
        builder: { id: builder },
        metadata: { startedOn: started.toISOString(), finishedOn: finished.toISOString() }
      }
    }
  }
}

/** One line of JSON: the envelope, signed by each of the keys. */
export function sealed(statement: Statement, keys: readonly (ModelKey & { readonly privateKey: KeyObject })[]): string {
  const payload = Buffer.from(JSON.stringify(statement))
  const signatures = keys.map(key => ({
    keyid: key.hint,
    sig: signWith(key.privateKey, key.kind, preAuthEncoding(PAYLOAD, payload)).toString('base64')
  }))
  return `${JSON.stringify({ payloadType: PAYLOAD, payload: payload.toString('base64'), signatures })}\n`
}

/**
 * What the owner of one of the keys says of this tarball, and which of the keys have signed it. @throws Error with what
 * does not hold
 */
export function verified(
  envelope: string,
  keys: readonly ModelKey[],
  tarball: Build['tarball']
): { statement: Statement; by: ModelKey[] } {
  const outer = parsed(envelope)
  if (!Value.Check(Envelope, outer)) throw new Error('The provenance is not a DSSE envelope with an in-toto statement')
  const payload = Buffer.from(outer.payload, 'base64')
  const message = preAuthEncoding(PAYLOAD, payload)
  const by = keys.filter(key => outer.signatures.some(({ sig }) => holds(key, message, Buffer.from(sig, 'base64'))))
  if (by.length === 0)
    throw new Error(`The provenance is not signed by ${keys.length === 1 ? 'this key' : 'any of these keys'}`)
  const statement = parsed(payload.toString('utf8'))
  if (!Value.Check(Statement, statement))
    throw new Error('The signed statement is not a provenance of a release of Verit (SLSA v1)')
  const [subject] = statement.subject
  if (
    subject!.digest.sha256 !== hash('sha256', tarball.bytes) ||
    subject!.digest.sha512 !== hash('sha512', tarball.bytes)
  )
    throw new Error(`The provenance is of other bytes than those of ${tarball.name}`)
  if (subject!.name !== tarball.name)
    throw new Error(`The provenance is of ${JSON.stringify(subject!.name)}, not of ${tarball.name}`)
  return { statement, by }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/**
 * Verifies a model against its bundle, offline, in the order of OpenSSF Model Signing 1.0, section 8: the signature, by
 * a trusted key; then the statement; then every file. The bundle's claim about its key only selects among trusted ones.
 * An unlisted file is as bad as a changed one.
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { fingerprint } from './ed25519.ts'
import type { Digest } from './digest.ts'
import { preAuthEncoding } from './dsse.ts'
import { holds, publicPem } from './model-key.ts'
import type { ModelKey } from './model-key.ts'
import { PAYLOAD_TYPE, parseBundle } from './oms-bundle.ts'
import type { OmsBundle } from './oms-bundle.ts'
import { findModelFiles, hashModelFile } from './oms-files.ts'
import { parseStatement } from './oms-statement.ts'
import type { SignedModel } from './oms-statement.ts'

export interface TrustedSigner {
  /** The verifier's name for it. */
  readonly name: string
  readonly key: ModelKey
}

export interface BundleInput {
  readonly bytes: Uint8Array
  /** Name in errors: its path. */
  readonly source: string
}

export interface VerifyOptions {
  bundle: BundleInput
  trusted: readonly TrustedSigner[]
  /** Whether keys outside the specification count. Default false. */
  allowEd25519?: boolean
}

export interface VerifiedModel {
  /** Name of the signer, as the verifier has it. */
  readonly signer: string
  readonly model: SignedModel
}

/**
 * The signature and the statement alone: who signed, and what.
 * @throws VeritError VERIT_BUNDLE, VERIT_SIGNER (no trusted key), VERIT_MODEL_SIGNATURE (a trusted key, a wrong
 *   signature)
 */
export function verifyBundle({
  bundle: { bytes, source },
  trusted,
  allowEd25519 = false
}: VerifyOptions): VerifiedModel {
  const bundle = parseBundle(bytes, source)
  const signer = trusted.find(t => isClaimed(t.key, bundle.claimed))
  if (signer === undefined)
    throw new VeritError('VERIT_SIGNER', {
      source,
      problem: `its key (${describeClaim(bundle.claimed)}) is none of those trusted for it`
    })
  if (signer.key.kind === 'ed25519' && !allowEd25519) {
    throw new VeritError('VERIT_SIGNER', {
      source,
      problem:
        'it was made with Ed25519, which is outside the specification and must be allowed (--allow-ed25519, or ' +
        'allow_ed25519 in the policy)'
    })
  }
  if ('certificate' in bundle.claimed) checkValidity(bundle.claimed.certificate, source)
  if (!holds(signer.key, preAuthEncoding(PAYLOAD_TYPE, bundle.payload), bundle.signature)) {
    throw new VeritError('VERIT_MODEL_SIGNATURE', {
      source,
      problem: `${signer.name} did not sign what the file says`
    })
  }
  return { signer: signer.name, model: parseStatement(bundle.payload, source) }
}

/**
 * Compares a digest taken elsewhere, on the served descriptor, with that of a model signed as the one file `fileName`;
 * with `among`, as one of the signed files, for a file fetched alone from a signed folder.
 * @throws VeritError as verifyBundle, and VERIT_MODEL_CHANGED
 */
export function verifyModelFile(
  options: VerifyOptions & { fileName: string; among?: boolean },
  digest: Digest
): VerifiedModel {
  const verified = verifyBundle(options)
  const {
    fileName,
    among = false,
    bundle: { source }
  } = options
  const { parts, shardSize } = verified.model
  const only = among ? parts.find(p => p.path === fileName) : parts[0]
  const changed = (problem: string): never => {
    throw new VeritError('VERIT_MODEL_CHANGED', { model: printable(fileName), problem })
  }
  if (shardSize !== undefined)
    throw new VeritError('VERIT_BUNDLE', {
      source,
      problem: 'it signs ranges of bytes, where the digest of one whole file is needed'
    })
  if (only === undefined)
    return changed(
      `${printable(source)} signs ` +
        `${parts.length === 1 ? 'one file, which is another' : `${parts.length} files, and this is none of them`}`
    )
  if (!among && parts.length !== 1)
    return changed(`${printable(source)} signs ${parts.length} files, not this one alone`)
  if (only.path !== fileName) return changed(`the file that was signed is named ${printable(only.path, 200)}`)
  if (`sha256:${only.digest}` !== digest)
    return changed(`its SHA-256 is ${digest.slice(7)}, and ${only.digest} was signed`)
  return verified
}

/**
 * Verifies a file or folder on disk. `except`: further files to leave out, as the bundle's own.
 * @throws VeritError as verifyBundle, and VERIT_MODEL_CHANGED, VERIT_MODEL_FILES, VERIT_OTHERS_WRITE
 */
export async function verifyModel(
  model: string,
  options: VerifyOptions & { except?: readonly string[]; onProgress?: (done: number, total: number) => void }
): Promise<VerifiedModel> {
  const verified = verifyBundle(options)
  const { parts, shardSize, ignored } = verified.model
  const changed = (problem: string): never => {
    throw new VeritError('VERIT_MODEL_CHANGED', { model: printable(model), problem })
  }
  const found = findModelFiles(model, ignored, [options.bundle.source, ...(options.except ?? [])])
  const signed = Map.groupBy(parts, p => p.path)
  const present = new Map(found.files.map(f => [f.path, f]))
  for (const path of signed.keys())
    if (!present.has(path)) changed(`the signed file ${printable(path, 200)} is missing`)
  // an empty file has no ranges, so it is not listed: section 6.3.2
  for (const { path, bytes } of found.files)
    if (!signed.has(path) && !(shardSize !== undefined && bytes === 0))
      changed(`the file ${printable(path, 200)} was not signed`)
  const total = found.files.reduce((sum, f) => sum + f.bytes, 0)
  let before = 0
  for (const [path, ranges] of signed) {
    const file = present.get(path)!
    const digests = await hashModelFile(file, shardSize, found.single, done =>
      options.onProgress?.(before + done, total)
    )
    const expected = ranges.toSorted((a, b) => (a.range?.[0] ?? 0) - (b.range?.[0] ?? 0))
    const same = digests.length === expected.length && digests.every((d, i) => d === expected[i]!.digest)
    if (!same || (shardSize !== undefined && expected.at(-1)!.range![1] !== file.bytes))
      changed(`${printable(path, 200)} has another content`)
    before += file.bytes
  }
  return verified
}

function isClaimed({ hint, publicKey }: ModelKey, claimed: OmsBundle['claimed']): boolean {
  if ('hint' in claimed) return claimed.hint === hint || claimed.hint === derHint(publicKey)
  return publicPem(publicKey) === ('pem' in claimed ? claimed.pem : publicPem(claimed.certificate.publicKey))
}

/** SHA-256 of the DER form: the hint of some other signers. */
const derHint = (key: ModelKey['publicKey']): string => fingerprint(key.export({ format: 'der', type: 'spki' }))

const describeClaim = (claimed: OmsBundle['claimed']): string =>
  'hint' in claimed
    ? `hint ${printable(claimed.hint, 80)}`
    : 'pem' in claimed
      ? 'given whole, as older signers do'
      : `in a certificate of ${printable(claimed.certificate.subject, 100)}`

function checkValidity(
  certificate: NonNullable<Extract<OmsBundle['claimed'], { certificate: unknown }>['certificate']>,
  source: string
): void {
  const now = Date.now()
  if (now < certificate.validFromDate.getTime() || now > certificate.validToDate.getTime()) {
    throw new VeritError('VERIT_SIGNER', {
      source,
      problem:
        `its certificate holds from ${certificate.validFromDate.toISOString()} to ` +
        `${certificate.validToDate.toISOString()} only`
    })
  }
}

/**
 * The trust of a pulled model, by the question of `verit serve`, asked at the pull, so that the answer is known before
 * it is needed. A signature by a trusted signer takes precedence.
 */
import { VeritError } from '../lib/errors.ts'
import type { Digest } from '../trust/digest.ts'
import { decideTrust } from '../trust/model-trust.ts'
import type { ModelTrust } from '../trust/model-trust.ts'
import type { BundleInput } from '../trust/oms-verify.ts'
import type { TrustPolicy } from '../trust/trust-policy.ts'
import type { ModelSource } from './model-source.ts'
import type { RequestRules } from './request.ts'
import { fetchSignature } from './signature.ts'

/** Why the model may be served; `nothing`: it may not, for this reason. */
export type PulledTrust = ModelTrust | { readonly by: 'nothing'; readonly problem: string }

export interface Signed {
  readonly bundle: BundleInput
  /** Path of the model in its signature. */
  readonly signedAs: string
}

/**
 * @throws VeritError VERIT_MODEL_SIGNATURE, VERIT_MODEL_CHANGED if a trusted signer's signature is not valid for this
 *   file
 */
export function judgePulled(
  policy: TrustPolicy,
  name: string,
  digest: Digest,
  signed: Signed | undefined
): PulledTrust {
  try {
    return decideTrust(policy, {
      path: name,
      name,
      digest,
      bundle: signed?.bundle,
      signedAs: signed?.signedAs,
      allowUnsigned: false
    })
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_UNTRUSTED')) throw e
    return { by: 'nothing', problem: e.fields.problem.replace(/, and its SHA-256 is not trusted$/, '') }
  }
}

export interface FoundSignature {
  readonly signed: Signed | undefined
  /** Why a signature that may be there could not be had. */
  readonly problem: string | undefined
}

/**
 * Looks for signatures of the file. An unavailable one counts as none: a hub that wants to hide it can say that there
 * is none.
 * @param isTrusted ends the search @throws VeritError errors of `isTrusted`; the reason of `rules.signal`
 */
export async function findSignature(
  source: ModelSource,
  revision: string | undefined,
  rules: RequestRules & { readonly token?: string | undefined; readonly signatureMs?: number },
  isTrusted: (signed: Signed) => boolean
): Promise<FoundSignature> {
  let first: Signed | undefined
  let problem: string | undefined
  for (const { url, signedAs } of source.signatures) {
    const at = url(revision)
    const name = decodeURIComponent(at.pathname.split('/').at(-1)!)
    let bytes: Buffer | undefined
    try {
      bytes = await fetchSignature(
        at,
        source.kind === 'hub' ? rules.token : undefined,
        rules,
        rules.signatureMs ?? 60_000
      )
    } catch (e) {
      if (rules.signal?.aborted === true || !VeritError.is(e)) throw e
      problem ??= e.what
    }
    if (bytes === undefined) continue
    const signed = { bundle: { bytes, source: name }, signedAs }
    if (isTrusted(signed)) return { signed, problem: undefined }
    first ??= signed
  }
  return { signed: first, problem }
}

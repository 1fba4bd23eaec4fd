/**
 * The gateway's question whether it may serve a model: policy and signature are read before anything starts, and asked
 * once the digest is known.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { refuseOtherThanGguf } from '../lib/other-kind.ts'
import { openTrusted, readTrusted } from '../lib/trusted-file.ts'
import type { Digest } from '../trust/digest.ts'
import { checkPulled, digestDescriptor } from '../trust/digest.ts'
import { decideTrust } from '../trust/model-trust.ts'
import type { ModelTrust, TrustedAs } from '../trust/model-trust.ts'
import { MAX_BUNDLE_BYTES } from '../trust/oms-bundle.ts'
import type { BundleInput } from '../trust/oms-verify.ts'
import { loadTrustPolicy, trustName } from '../trust/trust-policy.ts'
import type { ServerConfig } from './config.ts'

export interface ModelToServe {
  /** Path of a GGUF file. */
  readonly path: string
  /** Trust and digest of a pulled model. */
  readonly pulled?: (TrustedAs & { readonly digest: Digest }) | undefined
  readonly onDigestProgress?: (done: number, total: number) => void
}

/**
 * @param as of a pulled model; default: the name of its file, and the signature beside it
 * @returns a function that returns why a file of a digest may be served, or throws
 * @throws VeritError VERIT_TRUST, VERIT_OTHERS_WRITE and those of reading; later VERIT_UNTRUSTED,
 *   VERIT_MODEL_SIGNATURE, VERIT_MODEL_CHANGED
 */
export function trustCheck(
  model: string,
  as: TrustedAs | undefined,
  config: ServerConfig['trust'],
  state: string
): (digest: Digest) => ModelTrust {
  const policy =
    config.policy === '' ? loadTrustPolicy(join(state, 'trust.toml'), true) : loadTrustPolicy(config.policy)
  const signature = as === undefined ? `${model}.sig` : as.signature?.path
  const bundle = signature === undefined ? undefined : readBundle(signature)
  const decide = (digest: Digest): ModelTrust =>
    decideTrust(policy, {
      path: as?.name ?? model,
      name: as?.name ?? trustName(model),
      digest,
      bundle,
      signedAs: as?.signature?.signedAs,
      allowUnsigned: config.allowUnsigned
    })
  return digest => {
    try {
      return decide(digest)
    } catch (e) {
      if (as === undefined && VeritError.is(e, 'VERIT_UNTRUSTED')) nameOther(model)
      throw e
    }
  }
}

/** A web page or pointer instead of a model is named, not offered for trust. Trust refers to the digest. */
function nameOther(model: string): void {
  using file = openTrusted(model, { kind: 'decides', purpose: 'the model to serve' })
  refuseOtherThanGguf(file)
}

/**
 * The whole trust check of a start: hashes the file, and starts nothing.
 * @throws VeritError as `trustCheck` and its result do, those of reading, and of a pulled model that has changed
 */
export async function askTrust(
  { path, pulled, onDigestProgress }: ModelToServe,
  config: ServerConfig['trust'],
  state: string
): Promise<ModelTrust> {
  const decide = trustCheck(path, pulled, config, state)
  using file = openTrusted(path, { kind: 'decides', purpose: 'the model to serve' })
  const digest = await digestDescriptor(file.fd, path, { onProgress: done => onDigestProgress?.(done, file.size) })
  if (pulled !== undefined) checkPulled(path, digest, pulled.digest)
  return decide(digest)
}

function readBundle(path: string): BundleInput | undefined {
  if (!existsSync(path)) return undefined
  const problem = `it has more than ${MAX_BUNDLE_BYTES.toLocaleString('en-US')} bytes`
  const bytes = readTrusted(path, {
    kind: 'decides',
    purpose: 'the signature of the model',
    limit: MAX_BUNDLE_BYTES,
    tooLong: () => new VeritError('VERIT_BUNDLE', { source: path, problem })
  })
  return { bytes, source: path }
}

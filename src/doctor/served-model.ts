/** Whether the server may serve a model, and why: the same question that `verit serve` asks before it starts (trust-check.ts). */
import { VeritError } from '../lib/errors.ts'
import { checkOnlyOwnerWrites } from '../lib/only-owner-writes.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { ServerConfig } from '../server/config.ts'
import { trustCheck } from '../server/trust-check.ts'
import { checkPulled, digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import type { TrustedAs } from '../trust/model-trust.ts'
import { ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

export interface ServedModel {
  /** Path of a GGUF file. */
  readonly path: string
  /** Of a pulled model. */
  readonly pulled?: (TrustedAs & { readonly digest: Digest }) | undefined
  readonly onDigestProgress?: (done: number, total: number) => void
}

/** @param state where the policy is unless the configuration names one */
export async function checkModel({ path, pulled, onDigestProgress }: ServedModel, trust: ServerConfig['trust'], state: string): Promise<Finding[]> {
  const found = trust.allowUnsigned
    ? [warning('model.allow-unsigned', 'Models that nobody vouches for are served (trust.allow_unsigned)', 'Leave it out, and trust what you know: `verit model trust add`')] : []
  try {
    const decide = trustCheck(path, pulled, trust, state)
    const digest = await digestOf(path, onDigestProgress)
    if (pulled !== undefined) checkPulled(path, digest, pulled.digest)
    const { by, ...more } = decide(digest)
    if (by === 'unsigned') found.push(warning('model.trust', `${path} is served without a signature, and without a digest to hold it to`, 'Sign it (`verit model sign`), or trust its digest (`verit model trust add --digest`)'))
    else found.push(ok('model.trust', 'signer' in more ? `${path} is signed by ${more.signer}, who is trusted` : `${path} has the digest that is trusted`))
  } catch (e) {
    if (!VeritError.is(e)) throw e
    found.push(problem('model.trust', e.what, e.next))
  }
  return found
}

async function digestOf(path: string, onProgress?: ServedModel['onDigestProgress']): Promise<Digest> {
  const file = openRegular(path, 'the model')
  try {
    checkOnlyOwnerWrites(file.fd, path)
    return await digestDescriptor(file.fd, path, onProgress === undefined ? {} : { onProgress: done => onProgress(done, file.size) })
  } finally {
    file.close()
  }
}

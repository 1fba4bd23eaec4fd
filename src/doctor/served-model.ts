/** Whether the server may serve a model, and why: the same question that `verit serve` asks before it starts (trust-check.ts). */
import { VeritError } from '../lib/errors.ts'
import type { ServerConfig } from '../server/config.ts'
import { askTrust } from '../server/trust-check.ts'
import type { ModelToServe } from '../server/trust-check.ts'
import { ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

/** @param state where the policy is unless the configuration names one */
export async function checkModel(model: ModelToServe, trust: ServerConfig['trust'], state: string): Promise<Finding[]> {
  const { path } = model
  const found = trust.allowUnsigned
    ? [warning('model.allow-unsigned', 'Models that nobody vouches for are served (trust.allow_unsigned)', 'Leave it out, and trust what you know: `verit model trust add`')] : []
  try {
    const { by, ...more } = await askTrust(model, trust, state)
    if (by === 'unsigned') found.push(warning('model.trust', `${path} is served without a signature, and without a digest to hold it to`, 'Sign it (`verit model sign`), or trust its digest (`verit model trust add --digest`)'))
    else found.push(ok('model.trust', 'signer' in more ? `${path} is signed by ${more.signer}, who is trusted` : `${path} has the digest that is trusted`))
  } catch (e) {
    if (!VeritError.is(e)) throw e
    found.push(problem('model.trust', e.what, e.next))
  }
  return found
}

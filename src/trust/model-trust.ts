/** Decides by a policy whether a hashed model file may be served. */
import { basename } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { shellWord } from '../lib/shell-word.ts'
import type { Digest } from './digest.ts'
import { verifyModelFile } from './oms-verify.ts'
import type { BundleInput } from './oms-verify.ts'
import { fitsAny, trustName } from './trust-policy.ts'
import type { TrustPolicy } from './trust-policy.ts'

/** Why it may be served. */
export type ModelTrust =
  | { readonly by: 'signature'; readonly signer: string }
  | { readonly by: 'digest' }
  | { readonly by: 'unsigned' }

/** A file out of the store of pulled models, which lies under another name than it was signed with. */
export interface TrustedAs {
  /** Name under which it must be trusted. */
  readonly name: string
  /** The signature fetched with it, and the path of the file in the signature, which may list other files too. */
  readonly signature?: { readonly path: string; readonly signedAs: string } | undefined
}

export interface TrustQuestion {
  /** Path of the model. */
  path: string
  /** Name under which it must be trusted. Default: that of its file. */
  name?: string
  digest: Digest
  /** The signature beside it, if any. */
  bundle: BundleInput | undefined
  /** Path of the file in the signature, which may list other files. Default: its name, as the only one. */
  signedAs?: string | undefined
  /** Whether it may be unsigned, whatever the policy says. */
  allowUnsigned: boolean
}

/**
 * A name with digests may have no other digest. Otherwise a signature counts, by a signer who may sign that name; an
 * invalid one is refused even if unsigned models are allowed. Last, the policy for unsigned models.
 * @throws VeritError VERIT_UNTRUSTED, VERIT_MODEL_SIGNATURE, VERIT_MODEL_CHANGED
 */
export function decideTrust(
  policy: TrustPolicy,
  { path, name = trustName(path), digest, bundle, signedAs, allowUnsigned }: TrustQuestion
): ModelTrust {
  const digests = policy.file.digests ?? {}
  const command = trustCommand(digest, name)
  if (Object.hasOwn(digests, name)) {
    if (digests[name]!.includes(digest)) return { by: 'digest' }
    throw new VeritError('VERIT_UNTRUSTED', {
      model: printable(path),
      problem: `its SHA-256 is ${digest}, which is not one of those trusted under the name ${printable(name)}`,
      fix: `If it was meant to change, run: ${command}`
    })
  }
  let problem = 'it is not signed'
  if (bundle !== undefined) {
    try {
      const trusted = policy.signers.filter(s => fitsAny(name, s.models))
      const { signer } = verifyModelFile(
        {
          bundle,
          trusted,
          fileName: signedAs ?? basename(path),
          among: signedAs !== undefined,
          allowEd25519: policy.file.allow_ed25519 === true
        },
        digest
      )
      return { by: 'signature', signer }
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_SIGNER') && !VeritError.is(e, 'VERIT_BUNDLE')) throw e
      problem = e.what
    }
  }
  if (allowUnsigned || policy.file.unsigned === 'allow' || fitsAny(name, policy.file.allow_unsigned ?? []))
    return { by: 'unsigned' }
  throw new VeritError('VERIT_UNTRUSTED', {
    model: printable(path),
    problem: `${problem}, and its SHA-256 is not trusted`,
    fix: `If you trust it, run: ${command} (with the same --state, if you gave one); or start with --allow-unsigned`
  })
}

/** The command that trusts a digest under a name. */
export const trustCommand = (digest: Digest, name: string): string =>
  `verit model trust add --digest ${digest} --name ${shellWord(name)}`

/** `verit model verify`: a model against its signature, or against the digests of a trust policy. */
import { Command } from 'commander'
import { existsSync, lstatSync } from 'node:fs'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { shellPath, shellWord } from '../lib/shell-word.ts'
import { openTrusted } from '../lib/trusted-file.ts'
import { digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import { trustCommand } from '../trust/model-trust.ts'
import { verifyModel } from '../trust/oms-verify.ts'
import type { TrustedSigner } from '../trust/oms-verify.ts'
import { fitsAny, loadTrustPolicy, trustName } from '../trust/trust-policy.ts'
import type { TrustPolicy } from '../trust/trust-policy.ts'
import { byteProgress, readBundle, readPublicKey } from './model-shared.ts'
import { bundlePath } from './model-sign.ts'

interface Options {
  bundle?: string
  publicKey?: string
  policy?: string
  allowEd25519?: boolean
  json?: boolean
}

export function verifyCommand(): Command {
  return new Command('verify')
    .summary('verify a model against its signature')
    .description(
      'Verify a model: first its signature, then every file. A file that the signature does not list is an error.'
    )
    .argument('<model>', 'a file or a folder')
    .option('--bundle <file>', 'signature file (default: MODEL.sig, or model.sig in the folder)')
    .option('--public-key <file>', 'public key of the signer in PEM, from a source that you trust')
    .option(
      '--policy <file>',
      'trust policy (trust.toml) instead of a key: the digests of this name, or the signers allowed to sign it'
    )
    .option('--allow-ed25519', 'accept Ed25519 signatures, which are outside the specification')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  verit model verify my-model.gguf --public-key signer.pub\n  verit model verify model-folder ' +
        '--bundle model-folder.sig --policy trust.toml --json'
    )
    .action(async (model: string, options: Options) => {
      try {
        await verify(model, options)
      } catch (e) {
        if (options.json === true && VeritError.is(e))
          process.stdout.write(`${printableJson({ ok: false, code: e.code, problem: e.what })}\n`)
        throw e
      }
    })
}

async function verify(model: string, { bundle: named, json, ...from }: Options): Promise<void> {
  const { trusted, allowEd25519, policy } = trustedFor(model, from)
  const bundle = named ?? bundlePath(model)
  if (
    policy !== undefined &&
    named === undefined &&
    lstatSync(model, { throwIfNoEntry: false })?.isDirectory() !== true
  ) {
    const digest = await trustedDigest(model, policy, existsSync(bundle) ? undefined : bundle)
    if (digest !== undefined) {
      return void process.stdout.write(
        json === true
          ? `${printableJson({ ok: true, verified: true, by: 'digest', digest, name: trustName(model) })}\n`
          : `Trusted by digest: ${printable(policy.source)} has ${digest} for the name ${printable(trustName(model))}\n`
      )
    }
  }
  const { update, clear } = byteProgress()
  const { signer, model: signed } = await verifyModel(model, {
    bundle: { bytes: readBundle(bundle), source: bundle },
    trusted,
    allowEd25519,
    onProgress: update
  }).finally(clear)
  const files = new Set(signed.parts.map(p => p.path)).size
  const { hint: key } = trusted.find(t => t.name === signer)!.key
  const { name, ignored } = signed
  process.stdout.write(
    json === true
      ? `${printableJson({ ok: true, verified: true, by: 'signature', signer, key, name, files, ignored })}\n`
      : `Verified: ${files === 1 ? '1 file is' : `${files} files are`} as ${printable(signer)} signed ` +
          `${files === 1 ? 'it' : 'them'} (key ${key})\n`
  )
}

/**
 * The digest by which a policy trusts a file. If its name has digests, they alone decide, as for `verit serve`.
 * Undefined: a signature is needed.
 * @param missing path of the signature, if there is none @throws VeritError VERIT_UNTRUSTED, VERIT_USAGE,
 *   VERIT_OTHERS_WRITE and those of reading
 */
async function trustedDigest(
  model: string,
  { source, file: { digests = {} } }: TrustPolicy,
  missing: string | undefined
): Promise<Digest | undefined> {
  const name = trustName(model)
  const has = Object.hasOwn(digests, name)
  if (!has && missing === undefined) return undefined
  using file = openTrusted(model, { kind: 'decides', purpose: 'the model to verify' })
  if (!has) {
    throw new VeritError('VERIT_USAGE', {
      problem:
        `There is no signature ${printable(missing!)}, and ${printable(source)} has no digest for the name ` +
        `${printable(name)}`,
      hint:
        'Give the signature with --bundle, or see whether the server takes the model without one: verit serve ' +
        `${shellPath(model)} --check`
    })
  }
  const { update, clear } = byteProgress()
  const digest = await digestDescriptor(file.fd, model, { onProgress: update }).finally(clear)
  if (digests[name]!.includes(digest)) return digest
  throw new VeritError('VERIT_UNTRUSTED', {
    model: printable(model),
    problem:
      `its SHA-256 is ${digest}, which is not one of those that ${printable(source)} trusts under the name ` +
      `${printable(name)}`,
    fix: `If it was meant to change, run: ${trustCommand(digest, name)} --policy ${shellWord(source)}`
  })
}

function trustedFor(
  model: string,
  { publicKey, policy, allowEd25519 = false }: Options
): { trusted: readonly TrustedSigner[]; allowEd25519: boolean; policy?: TrustPolicy } {
  if ((publicKey === undefined) === (policy === undefined)) {
    throw new VeritError('VERIT_USAGE', {
      problem: 'The command needs to know which signer to trust',
      hint: 'Give --public-key or --policy, one of the two'
    })
  }
  if (publicKey !== undefined) return { trusted: [{ name: publicKey, key: readPublicKey(publicKey) }], allowEd25519 }
  const loaded = loadTrustPolicy(policy!)
  return {
    trusted: loaded.signers.filter(s => fitsAny(trustName(model), s.models)),
    allowEd25519: allowEd25519 || loaded.file.allow_ed25519 === true,
    policy: loaded
  }
}

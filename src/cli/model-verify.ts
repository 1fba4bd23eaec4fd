/** `verit model verify`. */
import { Command } from 'commander'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { verifyModel } from '../trust/oms-verify.ts'
import type { TrustedSigner } from '../trust/oms-verify.ts'
import { fitsAny, loadTrustPolicy, trustName } from '../trust/trust-policy.ts'
import { hashProgress, readBundle, readPublicKey } from './model-shared.ts'
import { bundlePath } from './model-sign.ts'

interface Options {
  bundle?: string
  publicKey?: string
  policy?: string
  allowEd25519?: boolean
  json?: boolean
}

export function verifyCommand(): Command {
  return new Command('verify').summary('verify a model against its signature')
    .description('Verify a model against its signature: first the signature, then every file. A file that is not in the signature is an error, too.')
    .argument('<model>', 'a file, or a folder')
    .option('--bundle <file>', 'the signature (default: MODEL.sig, or model.sig in the folder)')
    .option('--public-key <file>', 'public key of the signer, in PEM, got from someone you trust')
    .option('--policy <file>', 'or a trust policy (trust.toml): its signers who may sign a model of this name')
    .option('--allow-ed25519', 'accept a signature with Ed25519, which is outside the specification')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExamples:\n  verit model verify my-model.gguf --public-key signer.pub\n  verit model verify model-folder --bundle model-folder.sig --policy trust.toml --json')
    .action(async (model: string, { bundle = bundlePath(model), json, ...from }: Options) => {
      const { trusted, allowEd25519 } = trustedFor(model, from)
      const { update, clear } = hashProgress()
      const { signer, model: signed } = await verifyModel(model, { bundle: { bytes: readBundle(bundle), source: bundle }, trusted, allowEd25519, onProgress: update })
      clear()
      const files = new Set(signed.parts.map(p => p.path)).size
      const { hint: key } = trusted.find(t => t.name === signer)!.key
      process.stdout.write(json === true ? `${printableJson({ verified: true, signer, key, name: signed.name, files, ignored: signed.ignored })}\n`
        : `Verified: ${files === 1 ? '1 file is' : `${files} files are`} as ${printable(signer)} signed ${files === 1 ? 'it' : 'them'} (key ${key})\n`)
    })
}

function trustedFor(model: string, { publicKey, policy, allowEd25519 = false }: Options): { trusted: readonly TrustedSigner[]; allowEd25519: boolean } {
  if ((publicKey === undefined) === (policy === undefined)) {
    throw new VeritError('VERIT_USAGE', { problem: 'It has to be said whose signature counts', hint: 'Give --public-key or --policy, one of the two' })
  }
  if (publicKey !== undefined) return { trusted: [{ name: publicKey, key: readPublicKey(publicKey) }], allowEd25519 }
  const { signers, file } = loadTrustPolicy(policy!)
  return { trusted: signers.filter(s => fitsAny(trustName(model), s.models)), allowEd25519: allowEd25519 || file.allow_ed25519 === true }
}

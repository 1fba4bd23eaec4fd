/** `verit model verify`. */
import { Command } from 'commander'
import { printable, printableJson } from '../lib/printable.ts'
import { verifyModel } from '../trust/oms-verify.ts'
import { hashProgress, readBundle, readPublicKey } from './model-shared.ts'
import { bundlePath } from './model-sign.ts'

interface Options {
  bundle?: string
  publicKey: string
  allowEd25519?: boolean
  json?: boolean
}

export function verifyCommand(): Command {
  return new Command('verify').summary('verify a model against its signature')
    .description('Verify a model against its signature: first the signature, then every file. A file that is not in the signature is an error, too.')
    .argument('<model>', 'a file, or a folder')
    .option('--bundle <file>', 'the signature (default: MODEL.sig, or model.sig in the folder)')
    .requiredOption('--public-key <file>', 'public key of the signer, in PEM, got from someone you trust')
    .option('--allow-ed25519', 'accept a signature with Ed25519, which is outside the specification')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExamples:\n  verit model verify my-model.gguf --public-key signer.pub\n  verit model verify model-folder --bundle model-folder.sig --public-key signer.pub --json')
    .action(async (model: string, { bundle = bundlePath(model), publicKey, allowEd25519 = false, json }: Options) => {
      const key = readPublicKey(publicKey)
      const { update, clear } = hashProgress()
      const options = { bundle: { bytes: readBundle(bundle), source: bundle }, trusted: [{ name: publicKey, key }], allowEd25519, onProgress: update }
      const { signer, model: signed } = await verifyModel(model, options)
      clear()
      const files = new Set(signed.parts.map(p => p.path)).size
      process.stdout.write(json === true ? `${printableJson({ verified: true, signer, key: key.hint, name: signed.name, files, ignored: signed.ignored })}\n`
        : `Verified: ${files === 1 ? '1 file is' : `${files} files are`} as ${printable(signer)} signed ${files === 1 ? 'it' : 'them'} (key ${key.hint})\n`)
    })
}

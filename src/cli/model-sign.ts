/** `verit model digest`, `keygen` and `sign`. */
import { Argument, Command, Option } from 'commander'
import { existsSync, lstatSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { newKeyKinds, newModelKey, publicKeyFromPem, readPrivateModelKey } from '../trust/model-key.ts'
import { findModelFiles, hashModelFile } from '../trust/oms-files.ts'
import { signModel } from '../trust/oms-sign.ts'
import { collect } from './audit-shared.ts'
import { byteProgress, checkOutput } from './model-shared.ts'

/** Default path of a model's signature: beside a file, inside a folder. */
export const bundlePath = (model: string): string =>
  lstatSync(model, { throwIfNoEntry: false })?.isDirectory() === true ? join(model, 'model.sig') : `${model}.sig`

export function digestCommand(): Command {
  return new Command('digest')
    .summary('SHA-256 of every file of a model')
    .description(
      'Show the SHA-256 of every file of a model, in the form that trust policies and verit pull --sha256 take.'
    )
    .argument('<model>', 'a file or a folder')
    .option('--json', 'print one JSON object: path, sha256 and bytes of each file')
    .addHelpText(
      'after',
      '\nExamples:\n  verit model digest my-model.gguf\n  verit model digest --json model-folder | jq .'
    )
    .action(async (model: string, { json }: { json?: boolean }) => {
      const { single, files } = findModelFiles(model)
      const { update, clear } = byteProgress()
      const total = files.reduce((sum, f) => sum + f.bytes, 0)
      const shown: { path: string; sha256: string; bytes: number }[] = []
      let before = 0
      for (const file of files) {
        const [sha256] = await hashModelFile(file, undefined, single, done => update(before + done, total))
        shown.push({ path: file.path, sha256: `sha256:${sha256!}`, bytes: file.bytes })
        before += file.bytes
      }
      clear()
      process.stdout.write(
        json === true
          ? `${printableJson({ files: shown })}\n`
          : shown.map(f => `${f.sha256}  ${printable(f.path)}\n`).join('')
      )
    })
}

export function keygenCommand(): Command {
  return new Command('keygen')
    .summary('create a key pair for signing models')
    .description(
      'Create a key pair: the private key in FILE (mode 0600), the public key beside it, with the ending .pub.'
    )
    .addArgument(new Argument('<file>', 'file for the private key (PEM)'))
    .addOption(
      new Option('--type <type>', 'key type; ed25519 is outside the specification, and verifiers must allow it')
        .choices([...newKeyKinds])
        .default('p256')
    )
    .addHelpText('after', '\nExamples:\n  verit model keygen signer.pem\n  verit model keygen --type p384 signer.pem')
    .action((file: string, { type }: { type: (typeof newKeyKinds)[number] }) => {
      const publicFile = `${file.replace(/\.(?:pem|key)$/, '')}.pub`
      if (existsSync(publicFile)) throw new VeritError('VERIT_FILE_EXISTS', { path: publicFile })
      const { privateKey, publicKey } = newModelKey(type)
      writeFileAtomic(file, privateKey, { mode: 0o600, overwrite: false })
      writeFileAtomic(publicFile, publicKey, { overwrite: false })
      process.stdout.write(
        `Private key: ${file} (keep it secret, and a copy in a safe place)\nPublic key:  ${publicFile} (SHA-256 ` +
          `${publicKeyFromPem(publicKey, publicFile).hint})\n`
      )
    })
}

export function signCommand(): Command {
  return new Command('sign')
    .summary('sign a model')
    .description(
      'Sign a model: write a signature over the digests of all its files beside it. After a change, sign again ' +
        'with --force.'
    )
    .argument('<model>', 'a file, or a folder with everything below it; links are refused')
    .requiredOption(
      '--key <file>',
      'private key in PEM (verit model keygen): ECDSA on P-256, P-384 or P-521, or Ed25519'
    )
    .option('-o, --output <file>', 'signature file to write (default: MODEL.sig, or model.sig in the folder)')
    .option(
      '--ignore <path>',
      'path in the folder to exclude, with everything below it; the signature records it (repeatable)',
      collect
    )
    .option('--force', 'replace an existing signature')
    .addHelpText(
      'after',
      '\nExamples:\n  verit model sign my-model.gguf --key signer.pem\n  verit model sign model-folder --key ' +
        'signer.pem --ignore cache -o model-folder.sig'
    )
    .action(async (model: string, options: { key: string; output?: string; ignore?: string[]; force?: boolean }) => {
      const key = readPrivateModelKey(options.key)
      const output = options.output ?? bundlePath(model)
      checkOutput(output, model, options.force === true)
      const { update, clear } = byteProgress()
      const bundle = await signModel(model, key, { ignore: options.ignore ?? [], except: [output], onProgress: update })
      clear()
      writeFileAtomic(output, bundle, { overwrite: options.force === true })
      process.stdout.write(`Signed: ${output} (key ${key.hint})\n`)
      if (key.kind === 'ed25519')
        process.stderr.write(
          'Ed25519 is outside OpenSSF Model Signing 1.0: other verifiers refuse it, and Verit accepts it only if ' +
            'it is allowed.\n'
        )
    })
}

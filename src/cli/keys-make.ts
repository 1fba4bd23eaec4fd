/** `verit keys create` and `verit keys rotate`: create a credential and show it once, or write it to a file. */
import { existsSync } from 'node:fs'
import { Command, Option } from 'commander'
import { newKeyPair, writeKeyFile } from '../client/key-file.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { defaultScopes, keyKinds } from '../store/key-store.ts'
import type { KeyKind, KeyRecord, NewKey, SigningRule } from '../store/key-store.ts'
import {
  duration,
  fieldsOf,
  limitsOf,
  notValid,
  policyOptions,
  readCertificate,
  readPublicKey,
  shared,
  withStore
} from './keys-options.ts'
import type { Common, Policy } from './keys-options.ts'

interface Files {
  keyFile?: string
  publicKey?: string
  certificate?: string
}

/** The credential for the store, and the remaining secrets once the key has an id. */
interface Proof {
  readonly public: Uint8Array | undefined
  /** Writes the private half to its file. */
  readonly save: ((made: NewKey) => void) | undefined
}

const fileOptions = (command: Command): Command =>
  command
    .option('--key-file <file>', 'write the signing key to this new file, for verit call and verit/client')
    .option('--public-key <file>', 'for ed25519: register this public key (PEM or base64)')
    .option('--certificate <file>', 'for certificate: the client certificate (PEM or DER)')

function usage(problem: string, hint: string): never {
  throw new VeritError('VERIT_USAGE', { problem, hint })
}

function proofOf(kind: KeyKind, signing: SigningRule, { keyFile, publicKey, certificate }: Files): Proof {
  for (const [file, flag, fits] of [
    [publicKey, '--public-key', 'ed25519'],
    [certificate, '--certificate', 'certificate']
  ] as const) {
    if (file !== undefined && kind !== fits)
      usage(
        `${flag} is for keys of kind ${fits}, and this one is of kind ${kind}`,
        `Leave it out, or add --kind ${fits}`
      )
  }
  if (keyFile !== undefined && existsSync(keyFile)) throw new VeritError('VERIT_FILE_EXISTS', { path: keyFile })
  if (kind === 'certificate') {
    if (certificate === undefined || keyFile !== undefined) {
      usage(
        'A key of kind certificate needs --certificate FILE, and no other file',
        'Give the certificate of the client; its private key stays there'
      )
    }
    return { public: readCertificate(certificate), save: undefined }
  }
  if (kind === 'ed25519') {
    if ((keyFile === undefined) === (publicKey === undefined)) {
      usage(
        'A key of kind ed25519 needs either --key-file FILE or --public-key FILE',
        'The first makes a pair here and writes the private half to FILE; the second registers the public half of ' +
          'one made elsewhere'
      )
    }
    if (publicKey !== undefined) return { public: readPublicKey(publicKey), save: undefined }
    const pair = newKeyPair()
    return {
      public: pair.publicKey,
      save: ({ credentialId: keyid }) => writeKeyFile(keyFile!, { kind, keyid, privateKey: pair.privateKey })
    }
  }
  if (keyFile === undefined) return { public: undefined, save: undefined }
  if (signing === 'never') {
    usage(
      '--key-file is for requests that are signed, and those of this key are not',
      'Add --signing optional or --signing required, or leave it out'
    )
  }
  return {
    public: undefined,
    save: ({ credentialId: keyid, key }) => writeKeyFile(keyFile, { kind: 'hmac-sha256', keyid, key: key! })
  }
}

/** Standard output has the secret only; standard error describes it. */
function show({ record, credentialId, key }: NewKey, { json, keyFile }: Common & Files, more = ''): void {
  const secret = keyFile === undefined ? key : undefined
  if (json === true)
    return void process.stdout.write(
      `${printableJson({ ...defined({ key: secret }), credential: credentialId, ...record })}\n`
    )
  const about = `${record.id} (${printable(record.name)}; ${record.scopes.join(', ')}). ${more}`
  if (secret !== undefined) {
    process.stderr.write(`${about}The key is shown this once and stored only as a hash:\n`)
    process.stdout.write(`${secret}\n`)
  } else
    process.stderr.write(
      `${about}Its requests are proved by ` +
        `${credentialId}${keyFile === undefined ? '' : `, in ${printable(keyFile)}`}.\n`
    )
}

export function createCommand(): Command {
  const command = shared(new Command('create').description('Create a key and show its secret, once.'))
    .option('--name <name>', 'name of the client or its purpose', 'unnamed')
    .addOption(new Option('--kind <kind>', 'kind of credential').choices(keyKinds).default('secret'))
  return policyOptions(fileOptions(command))
    .addHelpText(
      'after',
      `
Unless named: scopes ${defaultScopes.join(', ')}; all models and addresses; no end;
requests not signed; the server's limits.

Examples:
  verit keys create --name laptop
  export VERIT_API_KEY=$(verit keys create --name ci --scope infer --expires 90d)
  verit keys create --name team --owner ops@verit.example \\
    --tokens-per-day 200000 --requests-per-minute 60 --address 10.1.0.0/16
  verit keys create --name batch --kind ed25519 --key-file batch.key.json
  verit keys create --name proxy --kind certificate --certificate client.pem`
    )
    .action(async (options: Common & Files & Policy & { kind: KeyKind }) => {
      const { kind } = options
      const proof = proofOf(kind, options.signing ?? 'never', options)
      if (options.expires === 'never') delete options.expires
      await withStore(
        options.state,
        async store => {
          const made = await store.keys.create(
            {
              ...fieldsOf(options),
              name: options.name!,
              kind,
              ...defined({ limits: limitsOf(options), expires: options.expires, public: proof.public })
            },
            'cli'
          )
          try {
            proof.save?.(made)
          } catch (e) {
            await store.keys.revoke(made.record.id, 'cli') // nobody has what proves it
            throw e
          }
          show(made, options)
        },
        { begin: true }
      )
    })
}

export function rotateCommand(): Command {
  return fileOptions(
    shared(
      new Command('rotate').description(
        'Give a key a new credential. Earlier credentials stay valid during the overlap.'
      )
    )
  )
    .argument('<id>', 'public id of the key, key_...')
    .option(
      '--overlap <time>',
      'how long earlier credentials stay valid: 30m, 24h, 7d; 0s ends them now (default: 24h)',
      duration
    )
    .addHelpText(
      'after',
      `
Examples:
  verit keys rotate key_0123456789ab
  verit keys rotate key_0123456789ab --overlap 0s
  verit keys rotate key_0123456789ab --key-file batch.key2.json`
    )
    .action(async (id: string, options: Common & Files & { overlap?: number }) => {
      await withStore(options.state, async store => {
        const before = await store.keys.get(id)
        if (before === undefined) throw notValid(id)
        const proof = proofOf(before.kind, before.signing, options)
        const made = await store.keys.rotate(
          id,
          { overlapSeconds: options.overlap ?? 86_400, ...defined({ public: proof.public }) },
          'cli'
        )
        if (made === undefined) throw notValid(id)
        try {
          proof.save?.(made)
        } catch (e) {
          process.stderr.write(
            `verit: ${made.credentialId} was made, but what proves it could not be written: rotate again\n`
          )
          throw e
        }
        show(made, options, endOfOthers(made.record))
      })
    })
}

function endOfOthers(record: KeyRecord): string {
  const ends = record.credentials
    .slice(0, -1)
    .map(c => c.expires)
    .filter(time => time !== undefined)
    .sort()
  if (ends.length === 0) return 'No earlier credential is valid any more. '
  return `Earlier credentials end by ${ends.at(-1)!.slice(0, 16).replace('T', ' ')} UTC. `
}

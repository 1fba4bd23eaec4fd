/** `verit model trust`: which models the server may serve (trust.toml in the state folder). */
import { Command } from 'commander'
import { dirname, join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { defaultStateFolder, namedFolder, openStateFolder } from '../store/state-folder.ts'
import type { Digest } from '../trust/digest.ts'
import { publicPem } from '../trust/model-key.ts'
import { changeTrustPolicy, loadTrustPolicy, writeTrustPolicy } from '../trust/trust-policy.ts'
import type { PolicyFile, TrustPolicy } from '../trust/trust-policy.ts'
import { collect } from './audit-shared.ts'
import { readPublicKey } from './model-shared.ts'
import { digestOption } from './models-options.ts'

export interface Where {
  state: string
  policy?: string
}
interface Change extends Where {
  name?: string
  digest?: string
  signer?: string
  publicKey?: string
  model?: string[]
  unsigned?: string
  allowEd25519?: boolean
}

export const located = (command: Command): Command =>
  command
    .option('--state <folder>', 'state folder of the server, which holds trust.toml', defaultStateFolder())
    .option('--policy <file>', 'another policy file (setting trust.policy)')

export const policyPath = ({ state, policy }: Where): string => policy ?? join(namedFolder(state), 'trust.toml')

export function trustCommand(): Command {
  const trust = new Command('trust')
    .summary('manage which models the server may serve')
    .description(
      'Manage which models the server may serve: by digest, by signer, or by name without a signature. Stored in ' +
        'trust.toml in the state folder.'
    )
    .addHelpText(
      'after',
      '\nExamples:\n  verit model trust add --digest sha256:... --name my-model\n  verit model trust add --signer ' +
        "team --public-key team.pub --model 'team-*'\n  verit model trust list"
    )
  trust.addCommand(
    located(new Command('add'))
      .summary('trust a digest, a signer, or a name without a signature')
      .description(
        'Trust a digest under a name, a signer for names, or a name without a signature. A running server applies ' +
          'it at its next start.'
      )
      .option('--digest <sha256>', 'sha256:... as verit model digest shows it; needs --name', digestOption)
      .option(
        '--name <name>',
        'model name for the digest: its file name without .gguf; the name is then fixed to its digests'
      )
      .option('--signer <name>', 'your name for a signer; needs --public-key and --model')
      .option('--public-key <file>', 'public key of the signer in PEM')
      .option('--model <name>', 'model name that this signer may sign; * matches any characters (repeatable)', collect)
      .option('--unsigned <name>', 'model name that needs no signature; * matches any characters')
      .option('--allow-ed25519', 'accept Ed25519 signatures, which are outside the specification')
      .addHelpText(
        'after',
        '\nExamples:\n  verit model trust add --digest sha256:... --name my-model\n  verit model trust add ' +
          "--signer team --public-key team.pub --model 'team-*'\n  verit model trust add --unsigned 'scratch-*'"
      )
      .action((options: Change) => changeWith(options, add))
  )
  trust.addCommand(
    located(new Command('remove'))
      .summary('remove trust in a name, digest or signer')
      .description(
        'Remove trust in a name, one of its digests, or a signer. A running server applies it at its next start.'
      )
      .option('--name <name>', 'model name whose digests lose trust; with --digest, only that one')
      .option('--digest <sha256>', 'digest to remove; needs --name', digestOption)
      .option('--signer <name>', 'signer to remove')
      .option('--unsigned <name>', 'name to remove, as it was given')
      .addHelpText(
        'after',
        '\nExamples:\n  verit model trust remove --name my-model\n  verit model trust remove --signer team'
      )
      .action((options: Change) => changeWith(options, remove))
  )
  trust.addCommand(
    located(new Command('list'))
      .summary('list everything that is trusted')
      .description('List the trusted signers, digests and names, and the rule for all others.')
      .option('--json', 'print one JSON object')
      .addHelpText('after', '\nExamples:\n  verit model trust list\n  verit model trust list --json | jq .signers')
      .action((options: Where & { json?: boolean }) =>
        list(loadTrustPolicy(policyPath(options), options.policy === undefined), options.json === true)
      )
  )
  return trust
}

function changeWith(options: Change, change: (file: PolicyFile, options: Change) => Partial<PolicyFile>): void {
  changePolicy(options, file => change(file, options))
  process.stdout.write(`${policyPath(options)} was changed; a server takes it at its next start\n`)
}

function changePolicy(where: Where, change: (file: PolicyFile) => Partial<PolicyFile>): void {
  const path = policyPath(where)
  if (where.policy === undefined) openStateFolder(dirname(path))
  const policy = loadTrustPolicy(path, true)
  writeTrustPolicy(changeTrustPolicy(policy, change(policy.file)))
}

/** Trusts a digest under a name, as `verit model trust add --digest` does. */
export function trustDigest(where: Where, name: string, digest: Digest): void {
  changePolicy(where, file => add(file, { ...where, name, digest }))
}

const usage = (problem: string, hint: string): VeritError => new VeritError('VERIT_USAGE', { problem, hint })

function add(
  file: PolicyFile,
  { name, digest, signer, publicKey, model, unsigned, allowEd25519 }: Change
): Partial<PolicyFile> {
  const given = [digest ?? name, signer ?? publicKey ?? model, unsigned, allowEd25519].filter(v => v !== undefined)
  if (given.length === 0)
    throw usage(
      'There is nothing to trust',
      'Give --digest with --name, --signer with --public-key and --model, or --unsigned'
    )
  const change: Partial<PolicyFile> = {}
  if (digest !== undefined || name !== undefined) {
    if (digest === undefined || name === undefined)
      throw usage('A digest is trusted under a name', 'Give --digest and --name')
    change.digests = { ...file.digests, [name]: [...new Set([...(own(file.digests, name) ?? []), digest])] }
  }
  if (signer !== undefined || publicKey !== undefined || model !== undefined) {
    if (signer === undefined || publicKey === undefined || model === undefined)
      throw usage('A signer has a name, a key and models', 'Give --signer, --public-key and --model')
    if (own(file.signers, signer) !== undefined)
      throw usage(
        `There is a signer ${printable(signer)}`,
        'Remove it first (verit model trust remove), or choose another name'
      )
    change.signers = {
      ...file.signers,
      [signer]: { public_key: publicPem(readPublicKey(publicKey).publicKey), models: model }
    }
  }
  if (unsigned !== undefined) change.allow_unsigned = [...new Set([...(file.allow_unsigned ?? []), unsigned])]
  if (allowEd25519 === true) change.allow_ed25519 = true
  return change
}

function remove(file: PolicyFile, { name, digest, signer, unsigned }: Change): Partial<PolicyFile> {
  const missing = (what: string): never => {
    throw usage(`The policy does not have ${what}`, 'See verit model trust list')
  }
  if (name === undefined && signer === undefined && unsigned === undefined)
    throw usage('There is nothing to remove', 'Give --name, --signer or --unsigned')
  const change: Partial<PolicyFile> = {}
  if (name !== undefined) {
    const digests = own(file.digests, name) ?? missing(`the name ${printable(name)}`)
    if (digest !== undefined && !digests.includes(digest)) missing(`that digest under ${printable(name)}`)
    const left = digest === undefined ? [] : digests.filter(d => d !== digest)
    const { [name]: _, ...others } = file.digests!
    change.digests = left.length === 0 ? others : { ...others, [name]: left }
  }
  if (signer !== undefined) {
    if (own(file.signers, signer) === undefined) missing(`the signer ${printable(signer)}`)
    const { [signer]: _, ...others } = file.signers!
    change.signers = others
  }
  if (unsigned !== undefined) {
    if (file.allow_unsigned?.includes(unsigned) !== true) missing(`the unsigned name ${printable(unsigned)}`)
    change.allow_unsigned = file.allow_unsigned!.filter(n => n !== unsigned)
  }
  return change
}

const own = <T>(record: Record<string, T> | undefined, key: string): T | undefined =>
  record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined

function list({ source, file, signers }: TrustPolicy, json: boolean): void {
  const { unsigned = 'refuse', allow_unsigned: without = [], allow_ed25519: ed25519 = false, digests = {} } = file
  if (json) {
    const shown = signers.map(s => ({ name: s.name, kind: s.key.kind, hint: s.key.hint, models: s.models }))
    return void process.stdout.write(
      `${printableJson({ source, unsigned, allowUnsigned: without, allowEd25519: ed25519, signers: shown, digests })}\n`
    )
  }
  const lines = [
    ...signers.map(
      s => `signer ${s.name}  ${s.key.kind} ${s.key.hint}  may sign: ${s.models.map(m => printable(m)).join(', ')}`
    ),
    ...Object.entries(digests).flatMap(([name, all]) => all.map(d => `digest ${d}  ${printable(name)}`)),
    ...without.map(n => `unsigned  ${printable(n)}`),
    `Other unsigned models: ${unsigned === 'allow' ? 'allowed' : 'refused'}. Ed25519: ` +
      `${ed25519 ? 'allowed' : 'refused'}. Policy: ${source}`
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

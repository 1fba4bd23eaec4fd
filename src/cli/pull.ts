/** `verit pull`: a model from a hub or an address into the store, pinned by its digest. */
import { Command, Option } from 'commander'
import { DEFAULT_ENDPOINT } from '../hub/model-source.ts'
import type { StoredModel } from '../hub/model-store.ts'
import { pull } from '../hub/pull.ts'
import type { PulledTrust } from '../hub/pulled-trust.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { shellWord } from '../lib/shell-word.ts'
import { defaultStateFolder } from '../store/state-folder.ts'
import type { Digest } from '../trust/digest.ts'
import { trustCommand } from '../trust/model-trust.ts'
import { loadTrustPolicy } from '../trust/trust-policy.ts'
import { hubToken } from './hub-token.ts'
import { interruptible } from './interruption.ts'
import { located, policyPath, trustDigest } from './model-trust.ts'
import type { Where } from './model-trust.ts'
import { digestOption, durationOption, modelsOption, sizeOption } from './models-options.ts'

interface Options extends Where {
  trust?: boolean
  name?: string
  lock: string
  sha256?: Digest
  update?: boolean
  endpoint?: string
  allowPrivate?: boolean
  maxSize: number
  timeout: number
  models: string
  json?: boolean
}

export function command(): Command {
  return located(
    new Command('pull')
      .summary('download a model, verify it and store it')
      .description(
        'Downloads a model file from a hub or an https address, compares it with its pin in verit.lock, verifies ' +
          'it, and stores it under its digest. A signature beside it is downloaded too and checked against the ' +
          'trust policy.'
      )
      .argument('<source>', 'hf:OWNER/REPO[@REVISION]/FILE or https://HOST/PATH')
      .option('--name <name>', 'name of the model (default: the file name without .gguf)')
      .option('--lock <file>', 'lock file with the pins; the first pull creates it', 'verit.lock')
      .option('--sha256 <digest>', 'expected SHA-256', digestOption)
      .option('--trust', 'let verit serve run this file: record its digest in the trust policy')
      .option('--update', 'download the current version of the source, and pin it')
      .option('--endpoint <url>', `hub, also HF_ENDPOINT (default: ${DEFAULT_ENDPOINT})`)
      .option('--allow-private', 'allow addresses in private networks, and http on this machine')
      .addOption(
        new Option('--max-size <size>', 'maximum size of the file').argParser(sizeOption).default(64 * 2 ** 30, '64GiB')
      )
      .addOption(
        new Option('--timeout <duration>', 'time limit of the download')
          .argParser(durationOption)
          .default(86_400, '24h')
      )
      .addOption(modelsOption())
      .option('--json', 'print one JSON object')
  )
    .addHelpText(
      'after',
      `
Run the command again to resume an interrupted download. No proxy is used. The
token of the hub comes from the environment or from the file that NAME_FILE names.
It goes to the hub only:
  VERIT_HUB_TOKEN   for repositories that need one; HF_TOKEN, where it is not set

Examples:
  verit pull hf:OWNER/REPO/model.gguf
  verit pull hf:OWNER/REPO@v1.0/model.gguf --name mine
  verit pull https://example.org/model.gguf --sha256 DIGEST
  verit pull hf:OWNER/REPO/model.gguf --update
  verit pull hf:OWNER/REPO/model.gguf --name mine --sha256 DIGEST --trust
  verit serve mine`
    )
    .action(run)
}

async function run(source: string, options: Options): Promise<void> {
  const token = hubToken()
  let bar: Progress | undefined
  let label = ''
  let first = 0
  const show =
    (what: string) =>
    (done: number, total: number): void => {
      if (what !== label) {
        bar?.clear()
        first = what === 'download' ? done : 0 // what an earlier download left took no time now
        bar = new Progress({ label: what, total: total - first, format: formatBytes })
      }
      label = what
      bar!.update(done - first, `${formatBytes(Math.round((done - first) / Math.max(bar!.seconds, 0.001)))}/s`)
    }
  const stop = new AbortController()
  const interrupt = (): void => {
    if (label === 'check' || stop.signal.aborted) process.exit(130)
    stop.abort(
      new VeritError('VERIT_INTERRUPTED', {
        saved: 'the part already downloaded is kept if the host can resume',
        resume: 'Run the same command again to go on'
      })
    )
  }
  const endpoint = options.endpoint ?? (process.env['HF_ENDPOINT'] || DEFAULT_ENDPOINT)
  const { model, path, fetched, pinned, trust, signatureProblem } = await interruptible(interrupt, () =>
    pull(source, {
      models: options.models,
      lock: options.lock,
      endpoint,
      update: options.update === true,
      allowPrivate: options.allowPrivate === true,
      policy: loadTrustPolicy(policyPath(options), options.policy === undefined || options.trust === true),
      maxSize: options.maxSize,
      totalMs: options.timeout * 1000,
      signal: stop.signal,
      onProgress: show('download'),
      onHash: show('check'),
      onWait: (s, reason) => process.stderr.write(`${printable(reason)}; again in ${Math.ceil(s)} s\n`),
      ...defined({ name: options.name, digest: options.sha256, token })
    })
  ).finally(() => bar?.clear())
  if (options.trust === true) trustDigest(options, model.name, model.digest)
  const now: PulledTrust = options.trust === true ? { by: 'digest' } : trust!
  const command = trustCommandFor(options, model)
  if (options.json === true) {
    const shown = { ...now, ...defined({ signatureProblem }), ...(now.by === 'nothing' && { command }) }
    return void process.stdout.write(`${printableJson({ ...model, path, fetched, pinned, trust: shown })}\n`)
  }
  process.stdout.write(
    `${printable(model.name)}: ${formatBytes(model.size)}, ${model.digest}\n` +
      `${fetched ? 'fetched from' : 'here already, as pulled from'} ` +
      `${printable(model.source)}${model.revision === undefined ? '' : `, commit ${model.revision}`}\n` +
      `${pinned ? `pinned in ${options.lock}` : `as ${options.lock} pins it`}\n` +
      (signatureProblem === undefined ? '' : `a signature could not be had: ${printable(signatureProblem)}\n`) +
      trustText(now, model, options, command)
  )
}

/** Conditions for `verit serve NAME`. */
function trustText(trust: PulledTrust, { name, digest }: StoredModel, options: Options, command: string): string {
  if (trust.by === 'signature') return `trusted: signed by ${printable(trust.signer)}\n`
  if (trust.by === 'digest') return `trusted: ${printable(policyPath(options))} has ${digest} for the name ${name}\n`
  if (trust.by === 'unsigned')
    return `trusted without a signature: ${printable(policyPath(options))} allows that for the name ${name}\n`
  return (
    `not trusted: ${printable(trust.problem)}\nverit serve refuses it; if you know that this digest is ` +
    `right, trust it:\n  ${command}\n`
  )
}

function trustCommandFor({ state, policy }: Where, { name, digest }: StoredModel): string {
  const where =
    policy !== undefined
      ? ` --policy ${shellWord(policy)}`
      : state === defaultStateFolder()
        ? ''
        : ` --state ${shellWord(state)}`
  return trustCommand(digest, name) + where
}

/** `verit push`: an own model, with its signature, to a hub or an address. */
import { Command, Option } from 'commander'
import { DEFAULT_ENDPOINT } from '../hub/model-source.ts'
import { push } from '../hub/push.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { shellWord } from '../lib/shell-word.ts'
import { hubToken, tokenFrom } from './hub-token.ts'
import { interruptible } from './interruption.ts'
import { durationOption } from './models-options.ts'

interface Options {
  unsigned?: boolean
  message?: string
  endpoint?: string
  allowPrivate?: boolean
  timeout: number
  json?: boolean
}

export function command(): Command {
  return new Command('push')
    .summary('upload a model and its signature to a hub or an address')
    .description(
      'Uploads a model file and its signature (MODEL.sig) to a repository of a hub, as one commit, or to an https ' +
        'address with PUT. Files that the hub already has are not sent again.'
    )
    .argument('<model>', 'model file; verit model sign writes its signature')
    .argument('<target>', 'hf:OWNER/REPO[@BRANCH][/FILE] or https://HOST/PATH')
    .option('--unsigned', 'upload it without a signature')
    .option('--message <text>', 'first line of the commit (default: Add FILE)')
    .option('--endpoint <url>', `hub, also HF_ENDPOINT (default: ${DEFAULT_ENDPOINT})`)
    .option('--allow-private', 'allow addresses in private networks, and http on this machine')
    .addOption(
      new Option('--timeout <duration>', 'time limit of the upload').argParser(durationOption).default(86_400, '24h')
    )
    .option('--json', 'print one JSON object: target, files (path, digest, size, sent), commit, confirmed')
    .addHelpText(
      'after',
      `
Redirects are not followed, and no proxy is used. Tokens come from the environment
or from the file that NAME_FILE names. They go to the origin of the target only:
  VERIT_HUB_TOKEN   for a hub; HF_TOKEN, where it is not set
  VERIT_PUT_TOKEN   for an https address, as Authorization: Bearer

Examples:
  verit model sign model.gguf --key signer.pem && verit push model.gguf hf:OWNER/REPO
  verit push model.gguf hf:OWNER/REPO@next/small.gguf --unsigned --message "A first try"
  verit push model.gguf https://models.example.org/model.gguf --json`
    )
    .action(run)
}

async function run(model: string, target: string, options: Options): Promise<void> {
  let bar: Progress | undefined
  let label = ''
  const show = (what: string, done: number, total: number): void => {
    if (what !== label) {
      bar?.clear()
      bar = new Progress({ label: what, total, format: formatBytes })
    }
    label = what
    bar!.update(done, `${formatBytes(Math.round(done / Math.max(bar!.seconds, 0.001)))}/s`)
  }
  const stop = new AbortController()
  const interrupt = (): void => {
    if (stop.signal.aborted || label === 'hash') process.exit(130)
    stop.abort(
      new VeritError('VERIT_INTERRUPTED', {
        saved: 'nothing was committed; a hub keeps completely uploaded files',
        resume: 'Run the same command again to go on'
      })
    )
  }
  const endpoint = options.endpoint ?? (process.env['HF_ENDPOINT'] || DEFAULT_ENDPOINT)
  const token = target.startsWith('hf:') ? hubToken() : tokenFrom('VERIT_PUT_TOKEN')
  const result = await interruptible(interrupt, () =>
    push(model, target, {
      endpoint,
      unsigned: options.unsigned === true,
      allowPrivate: options.allowPrivate === true,
      totalMs: options.timeout * 1000,
      signal: stop.signal,
      onHash: (done, total) => show('hash', done, total),
      onProgress: (path, done, total) => show(printable(path, 40), done, total),
      onWait: (s, reason) => process.stderr.write(`${printable(reason)}; again in ${Math.ceil(s)} s\n`),
      ...defined({ token, message: options.message })
    })
  ).finally(() => bar?.clear())
  if (options.json === true) return void process.stdout.write(`${printableJson(result)}\n`)
  for (const f of result.files)
    process.stdout.write(
      `${printable(f.path)}: ${formatBytes(f.size)}, ${f.digest}, ${f.sent ? 'sent' : 'there already'}\n`
    )
  if (result.commit !== undefined)
    process.stdout.write(
      `commit ${result.commit}${result.confirmed === true ? '; the hub names the same digest' : ''}\n`
    )
  else if (target.startsWith('hf:')) process.stdout.write('no commit: the branch has all of it already\n')
  process.stdout.write(`verit pull ${shellWord(result.target)} fetches it\n`)
}

/** `verit serve`: an HTTP server with OpenAI's API for one model. */
import { existsSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { resolveModel } from '../hub/resolve-model.ts'
import type { ResolvedModel } from '../hub/resolve-model.ts'
import { usableCores } from '../lib/cores.ts'
import { defaultModelPath } from '../lib/default-model.ts'
import { defined } from '../lib/defined.ts'
import { VeritError } from '../lib/errors.ts'
import { unnamedFileError } from '../lib/file-error.ts'
import { createLog } from '../lib/log.ts'
import type { Log } from '../lib/log.ts'
import { printable } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { secretSetting } from '../lib/secret-setting.ts'
import { protectProcess } from '../runner/protect.ts'
import type { ServerConfig } from '../server/config.ts'
import { formatConfig, loadConfig } from '../server/config-file.ts'
import { checkSocketFolder } from '../server/listen.ts'
import { checkModel } from '../server/model-check.ts'
import { serve } from '../server/serve.ts'
import { checkStart } from '../server/start-check.ts'
import { readTls } from '../server/tls.ts'
import { databaseUrl } from '../store/database-url.ts'
import { rateUrl } from '../store/rate-url.ts'
import { defaultStateFolder, namedFolder } from '../store/state-folder.ts'
import { webhookSigner } from '../watch/webhook-secret.ts'
import { announce, banner } from './serve-banner.ts'
import { addSettingFlags, settingFlags } from './serve-flags.ts'
import { ServeSignals } from './serve-signals.ts'

interface Options {
  config?: string
  check?: boolean
  printConfig?: boolean
  state: string
  modelName?: string
  grace: number
  logJson?: boolean
  allowDebugger?: boolean
}

const whole =
  (low: number, high: number) =>
  (text: string): number => {
    const n = Number(text)
    if (!/^\d+$/.test(text) || n < low || n > high)
      throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`)
    return n
  }
const modelId = (text: string): string => {
  if (!/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$/.test(text)) {
    throw new InvalidArgumentError(
      'It must be 1 to 100 letters, digits, dots, dashes, underscores, colons and slashes.'
    )
  }
  return text
}

export function command(): Command {
  const serve = new Command('serve')
    .summary("serve a model over HTTP with OpenAI's API")
    .description(
      "Serves a model over HTTP with OpenAI's API. Every request needs an API key. The first start creates one " +
        'and shows it once. Guide: docs/guide/serve.md.'
    )
    .argument(
      '[model]',
      'a .gguf file, a training run, or the name of a pulled model (default: the model that comes with Verit)'
    )
    .option('--config <file>', 'TOML file of settings; flags override it (docs/reference/configuration.md)')
    .option(
      '--check',
      'check everything that a start would refuse (settings, files, state folder, model, store, rate limits, ' +
        'audit log), and stop'
    )
    .option('--print-config', 'print the effective settings as TOML, and stop')
    .option('--state <folder>', "folder of API keys, the server's secret and the audit log", defaultStateFolder())
    .option('--model-name <name>', 'model name for clients (default: the name of the file or run)', modelId)
  return addSettingFlags(serve)
    .option('--grace <seconds>', 'seconds that running answers have to end when the server stops', whole(0, 3600), 10)
    .option('--log-json', 'write only JSON lines to standard error; the first start then creates no key')
    .option('--allow-debugger', 'start despite an option of Node, such as --inspect, that exposes this process')
    .addHelpText(
      'after',
      `
Secrets come from the environment, or from the file that NAME_FILE names:
  VERIT_DATABASE_URL    postgresql://..., for several gateways (default: SQLite in the state folder)
  VERIT_RATE_URL        redis:// or rediss://..., for limits that several gateways share
  VERIT_WEBHOOK_SECRET  whsec_... or whsk_..., signs alerts; two, separated by a space, during rotation

VERIT_THREADS, VERIT_CORES, VERIT_PACKING and VERIT_ISA apply unless a flag or the file sets the same.

Examples:
  verit serve
  verit serve my-model.gguf --port 9000        (after verit model trust add, or with --allow-unsigned)
  verit serve --host 0.0.0.0 --tls-cert fullchain.pem --tls-key privkey.pem
  verit serve --socket /run/verit/verit.sock
  verit serve --config verit.toml --check
  verit keys create --name laptop`
    )
    .action(run)
}

async function run(path: string | undefined, options: Options): Promise<void> {
  const { logJson = false, check: checks = false, printConfig = false } = options
  if (!logJson || checks || printConfig) return await checkOrStart(path, options)
  const log = createLog({ json: true })
  try {
    onlyJson(log)
    await checkOrStart(path, options, log)
  } catch (thrown) {
    const e = unnamedFileError(thrown)
    if (VeritError.is(e)) log.fatal({ code: e.code }, e.message)
    else log.fatal({ stack: e instanceof Error ? e.stack : String(e) }, 'an error that Verit does not know')
    process.exitCode = VeritError.is(e) ? e.exit : 1
  }
}

/** Node's own warnings and the report of an exception become lines of the log. */
function onlyJson(log: Log): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ message }) => log.warn({ warning: message }, 'a warning of Node'))
  process.on('uncaughtException', e => {
    log.fatal({ stack: e.stack }, e.message)
    process.exit(1)
  })
}

async function checkOrStart(path: string | undefined, options: Options, log?: Log): Promise<void> {
  const config = loadConfig({ file: options.config, flags: settingFlags({ ...options }) })
  if (options.printConfig === true) return void process.stdout.write(formatConfig(config))
  const state = namedFolder(options.state)
  const shipped: ResolvedModel = { path: defaultModelPath(), pulled: undefined }
  const model = path === undefined ? shipped : resolveModel(path)
  if (config.inference.cores !== '') usableCores(config.inference.cores)
  if (path === undefined && !existsSync(model.path)) throw new VeritError('VERIT_NO_MODEL', { path: model.path })
  if (options.check === true) await check({ path, config, state, model }, options.config)
  else await start({ path, config, state, model }, options, log ?? createLog())
}

interface ToServe {
  /** As it was given. */
  readonly path: string | undefined
  readonly model: ResolvedModel
  readonly config: ServerConfig
  readonly state: string
}

async function check({ path, config, state, model }: ToServe, file: string | undefined): Promise<void> {
  const secrets = readSecrets(config)
  if (config.listen.tlsCert !== '') readTls(config.listen)
  if (config.listen.socket !== '') checkSocketFolder(config.listen.socket)
  const { served: running } = await checkStart({ config, state, ...secrets })
  const { pulled } = model
  await checkModel({
    model: model.path,
    config,
    state,
    ...defined({ trustedAs: pulled }),
    runner: { onDigestProgress: hashing().onProgress, ...defined({ expectedDigest: pulled?.digest }) }
  })
  const served = path === undefined ? '' : `, and ${printable(path)} may be served`
  const more = running ? ' A server runs on the state folder: this one would start once that has stopped.' : ''
  process.stdout.write(`${file ?? 'The configuration'} is good${served}; nothing was started.${more}\n`)
}

async function start({ config, state, model: resolved }: ToServe, options: Options, log: Log): Promise<void> {
  const { path: model, pulled, run: runName } = resolved
  process.umask(0o077)
  const protection = protectProcess('gateway', signal => log.warn({ signal }, 'the signal has no effect'))
  const { exposure } = protection
  if (exposure !== undefined && options.allowDebugger !== true) throw new VeritError('VERIT_DEBUGGER', exposure)
  const signals = new ServeSignals(log, options.grace)
  const secrets = readSecrets(config)
  const json = options.logJson === true
  const { onProgress: onDigestProgress, end } = json ? silent : hashing(process.stderr.isTTY)
  try {
    const server = await serve({
      model,
      state,
      config,
      log,
      ...secrets,
      makeFirstKey: !json,
      signal: signals.starting,
      ...defined({ modelName: options.modelName ?? pulled?.name ?? runName, trustedAs: pulled }),
      runner: { onDigestProgress, ...defined({ expectedDigest: pulled?.digest }) }
    }).finally(end)
    signals.serves(server)
    if (json) announce(log, server, config, protection, state)
    else process.stderr.write(banner(server, config, protection))
  } catch (e) {
    if (signals.starting.aborted) process.exit(signals.status)
    throw e
  }
}

interface Hashing {
  readonly onProgress: (done: number, total: number) => void
  readonly end: () => void
}

const silent: Hashing = { onProgress: () => undefined, end: () => undefined }

/**
 * A bar while the model is hashed, then, on a terminal, a line if loading takes long: a bar would be broken by lines
 * of the log.
 */
function hashing(tell = false): Hashing {
  let progress: Progress | undefined
  let loading: NodeJS.Timeout | undefined
  const onProgress = (done: number, total: number): void => {
    progress ??= new Progress({ label: 'check the model', total, format: formatBytes })
    progress.update(done)
    if (done < total) return
    progress.clear()
    if (tell) loading ??= setTimeout(() => process.stderr.write(`Loading the model (${formatBytes(total)}) ...\n`), 500)
  }
  return { onProgress, end: () => clearTimeout(loading) }
}

/** Looked at before anything is started. @throws VeritError VERIT_CONFIG, VERIT_DATABASE_URL and others */
function readSecrets(config: ServerConfig): { databaseUrl?: string; rateUrl?: string; webhookSecrets: string[] } {
  const webhookSecrets = secretSetting('VERIT_WEBHOOK_SECRET')?.split(/\s+/) ?? []
  if (config.watch.webhookUrl !== '' && webhookSecrets.length === 0) {
    throw new VeritError('VERIT_CONFIG', {
      source: 'the environment',
      field: 'VERIT_WEBHOOK_SECRET',
      problem: 'is missing: watch.webhook_url needs it, for alerts are signed'
    })
  }
  webhookSecrets.forEach(webhookSigner)
  return { ...defined({ databaseUrl: databaseUrl(), rateUrl: rateUrl() }), webhookSecrets }
}

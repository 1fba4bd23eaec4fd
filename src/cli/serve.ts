/** `verit serve`: an HTTP server with OpenAI's API for one model. */
import { existsSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { commandName } from '../lib/command-name.ts'
import { defaultModelPath } from '../lib/default-model.ts'
import { defined } from '../lib/defined.ts'
import { VeritError, plural } from '../lib/errors.ts'
import { createLog } from '../lib/log.ts'
import { printable } from '../lib/printable.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { serve } from '../server/serve.ts'
import type { RunningServer } from '../server/serve.ts'
import { defaultStateFolder } from '../store/state-folder.ts'

interface Options {
  host: string
  port: number
  state: string
  modelName?: string
  allowHost: string[]
  allowOrigin: string[]
  parallel: number
  queue: number
  perKey: number
  requestTimeout: number
  grace: number
  threads?: number
  context?: number
  instructionSet?: string
  logJson?: boolean
}

const whole = (low: number, high: number) => (text: string): number => {
  const n = Number(text)
  if (!/^\d+$/.test(text) || n < low || n > high) throw new InvalidArgumentError(`It must be a whole number from ${low} to ${high}.`)
  return n
}
const address = (text: string): string => {
  if (text === '') throw new InvalidArgumentError('It must not be empty; 0.0.0.0 or :: stand for all addresses.')
  return text
}
/** What a client can send, to the letter: a rule that can never match would be found out late. */
const hostRule = (text: string, before: string[]): string[] => {
  if (!/^[a-z0-9._-]+$/i.test(text)) throw new InvalidArgumentError('It must be a name alone, without a scheme or port, for example gpu1.example.')
  return [...before, text]
}
const originRule = (text: string, before: string[]): string[] => {
  if (!/^https?:/.test(text) || !URL.canParse(text) || new URL(text).origin !== text) {
    throw new InvalidArgumentError('It must be an origin as browsers send it, for example https://app.example, without a final slash.')
  }
  return [...before, text]
}
const modelId = (text: string): string => {
  if (!/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$/.test(text)) {
    throw new InvalidArgumentError('It must be 1 to 100 letters, digits, dots, dashes, underscores, colons and slashes.')
  }
  return text
}

export function command(): Command {
  return new Command('serve')
    .summary('serve a model over HTTP with OpenAI\'s API')
    .description('Serve a model over HTTP with OpenAI\'s API. Every request needs a key; the first start makes one and shows it once.')
    .argument('[model]', 'a .gguf file (default: the model that comes with Verit)')
    .option('--host <address>', 'address to listen on; 0.0.0.0 or :: for all of this machine', address, '127.0.0.1')
    .option('--port <port>', 'port to listen on; 0 takes a free one', whole(0, 65535), 8081)
    .option('--state <folder>', 'folder of keys and the server\'s secret', defaultStateFolder())
    .option('--model-name <name>', 'name by which clients ask for the model (default: the file\'s)', modelId)
    .addOption(new Option('--allow-host <name>', 'a further host name by which clients may reach the server; repeatable')
      .argParser(hostRule).default([], 'none'))
    .addOption(new Option('--allow-origin <origin>', 'an origin whose web pages may call, for example https://app.example; repeatable')
      .argParser(originRule).default([], 'none'))
    .option('--parallel <n>', 'generations side by side', whole(1, 256), 4)
    .option('--queue <n>', 'generations that wait; more are answered 503', whole(0, 10_000), 64)
    .option('--per-key <n>', 'generations of one key, running and waiting; more are answered 429', whole(1, 10_000), 16)
    .option('--request-timeout <seconds>', 'longest time a request may take', whole(1, 86_400), 600)
    .option('--grace <seconds>', 'time that answers under way have to end when the server stops', whole(0, 3600), 10)
    .option('--threads <n>', 'threads that compute (default: as many as there are cores)', whole(1, 1024))
    .option('--context <tokens>', 'positions a sequence may have (default: the model\'s)', whole(1, 1 << 20))
    .option('--instruction-set <name>', 'avx512, avx2, neon, baseline or reference (default: the fastest here)')
    .option('--log-json', 'log JSON lines on a terminal too')
    .addHelpText('after', `
Examples:
  verit serve
  verit serve my-model.gguf --port 9000
  verit keys create --name laptop`)
    .action(run)
}

async function run(path: string | undefined, options: Options): Promise<void> {
  const model = path ?? defaultModelPath()
  if (path === undefined && !existsSync(model)) throw new VeritError('VERIT_NO_MODEL', { path: model })
  process.umask(0o077)
  const log = createLog(options.logJson === true ? { json: true } : {})
  const { host, port, state, modelName, allowHost, allowOrigin, parallel, queue, perKey, requestTimeout, threads, context, instructionSet } = options
  let progress: Progress | undefined
  const onDigestProgress = (done: number, total: number): void => {
    progress ??= new Progress({ label: 'check the model', total, format: formatBytes })
    progress.update(done)
    if (done === total) progress.clear()
  }
  const server = await serve({
    model, host, port, state, allowHosts: allowHost, allowOrigins: allowOrigin, parallel, queue, perKey, requestTimeoutSeconds: requestTimeout, log,
    ...defined({ modelName }), runner: { onDigestProgress, ...defined({ threads, context, instructionSet }) },
  })
  stopOnSignals(server, options.grace)
  process.stderr.write(banner(server))
}

/** The first signal stops in order, the second at once. */
function stopOnSignals(server: RunningServer, grace: number): void {
  let asked = false
  const stop = (signal: NodeJS.Signals): void => {
    const status = signal === 'SIGINT' ? 130 : 143
    if (asked) process.exit(status)
    asked = true
    process.stderr.write(`\nverit: stopping; answers under way have ${grace} s. Again to stop at once.\n`)
    void server.close(grace * 1000).then(() => process.exit(0))
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop(signal))
}

const digits = (n: number): string => n.toLocaleString('en-US')

function banner({ url, modelId, model, firstKey, exposed }: RunningServer): string {
  const { parameters, context, executor, threads } = model.info
  const key = firstKey?.key ?? '$VERIT_API_KEY'
  const lines = [
    '', `  Verit serves ${modelId} at ${url}`, '',
    `  ${digits(parameters)} parameters, context ${digits(context)}, ${printable(executor)} on ${plural(threads, 'thread')}`,
    `  ${model.digest}`,
  ]
  if (firstKey !== undefined) {
    lines.push('', '  Your API key, shown this once and stored only as a hash:', '', `    ${firstKey.key}`, '',
      `  More keys: ${commandName} keys create. Lost it? Create another, revoke this one.`)
  } else lines.push('', `  Keys: ${commandName} keys create | list | revoke`)
  if (exposed) lines.push('', '  Warning: other machines can reach this address, and nothing encrypts what they send: put a proxy with TLS in front.')
  lines.push('', '  Try it:', '',
    `    curl ${url}/v1/chat/completions -H 'Content-Type: application/json' \\`,
    `      -H ${firstKey === undefined ? `"Authorization: Bearer ${key}"` : `'Authorization: Bearer ${key}'`} \\`,
    `      -d '{"model": "${modelId}", "messages": [{"role": "user", "content": "My fellow citizens"}], "max_tokens": 64}'`, '', '')
  return lines.join('\n')
}

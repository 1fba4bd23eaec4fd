/** Starts a server: state and keys, the listening gateway, the model's process; and stops it again, ending what is under way within a limit. */
import type { AddressInfo } from 'node:net'
import { basename } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { ModelRunner } from '../runner/model-runner.ts'
import type { ModelRunnerOptions, RunnerEvent } from '../runner/model-runner.ts'
import type { NewKey } from '../store/key-store.ts'
import { SqliteKeyStore } from '../store/sqlite-key-store.ts'
import { Admission } from './admission.ts'
import type { GatewayContext } from './context.ts'
import { buildGateway } from './gateway.ts'
import { isLoopback } from './http-checks.ts'

const PARALLEL = 4
/** Time to tell clients that the server stops. */
const LAST_WORDS_MS = 2000

export interface ServeOptions {
  /** Path of the GGUF file. */
  model: string
  /** Name by which clients ask for it. Default: the file's name without its ending. */
  modelName?: string
  /** Default 127.0.0.1. */
  host?: string
  /** 0 takes a free one. Default 8081. */
  port?: number
  /** State folder. */
  state: string
  allowHosts?: readonly string[]
  allowOrigins?: readonly string[]
  /** Generations side by side. Default 4. */
  parallel?: number
  /** Generations that wait. Default 64. */
  queue?: number
  /** Generations of one key, running and waiting. Default 16. */
  perKey?: number
  /** Default 600. */
  requestTimeoutSeconds?: number
  /** For the model process. */
  runner?: Pick<ModelRunnerOptions, 'threads' | 'context' | 'instructionSet' | 'hangMs' | 'onDigestProgress'>
  log: Log
}

export interface RunningServer {
  /** For example http://127.0.0.1:8081 */
  readonly url: string
  readonly modelId: string
  readonly model: ModelRunner
  /** The key that was made because the store had never held one. */
  readonly firstKey: NewKey | undefined
  /** Whether others than this machine can reach it. */
  readonly exposed: boolean
  /** Takes no more requests, lets those under way end for `graceMs` (default 10,000), then ends them with an error, then the model's process. */
  close(graceMs?: number): Promise<void>
}

/** Resolves when the model is loaded and requests are answered. @throws VeritError; nothing is left behind then */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const host = options.host ?? '127.0.0.1'
  const { log } = options
  const modelId = options.modelName ?? nameOf(options.model)
  const store = new SqliteKeyStore(options.state)
  const stopping = new AbortController()
  const context: GatewayContext = {
    store, log, modelId, model: undefined, stopping: stopping.signal, requestTimeoutSeconds: options.requestTimeoutSeconds ?? 600,
    rules: { host, allowHosts: (options.allowHosts ?? []).map(h => h.toLowerCase()), allowOrigins: options.allowOrigins ?? [] },
    admission: new Admission({ parallel: options.parallel ?? PARALLEL, queue: options.queue ?? 64, perKey: options.perKey ?? 16 }),
  }
  const app = buildGateway(context)
  let model: ModelRunner | undefined
  const close = async (graceMs = 10_000): Promise<void> => {
    const timers = [
      setTimeout(() => stopping.abort(), graceMs),
      setTimeout(() => app.server.closeAllConnections(), graceMs + LAST_WORDS_MS),
      setInterval(() => app.server.closeIdleConnections(), 50), // an answer that ends now leaves its connection open
    ]
    await app.close()
    timers.forEach(clearTimeout)
    await model?.close()
    store.close()
  }
  try {
    const url = await listen(app, host, options.port ?? 8081)
    model = await ModelRunner.start(options.model, { slots: options.parallel ?? PARALLEL, ...options.runner, onEvent: event => note(log, event) })
    context.model = { id: modelId, created: Math.floor(Date.now() / 1000), runner: model }
    return { url, modelId, model, firstKey: store.createFirst('first key'), exposed: !isLoopback(host), close }
  } catch (e) {
    await close(0)
    throw e
  }
}

const LISTEN_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use', EACCES: 'this user may not use that port', EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no such host',
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  const shown = host.includes(':') ? `[${host}]` : host
  try {
    await app.listen({ host, port })
  } catch (e) {
    const code = e instanceof Error && 'code' in e ? String(e.code) : String(e)
    throw new VeritError('VERIT_LISTEN', { address: `${shown}:${port}`, reason: LISTEN_REASONS[code] ?? code }, e)
  }
  return `http://${shown}:${(app.server.address() as AddressInfo).port}`
}

/** `models/verit-sotu.gguf` -> verit-sotu; characters that would need escaping somewhere become dashes. */
function nameOf(path: string): string {
  return basename(path).replace(/\.gguf$/i, '').replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, 100) || 'model'
}

function note(log: Log, event: RunnerEvent): void {
  if (event.type === 'ready') log.info({ pid: event.pid }, 'the model process is ready')
  else if (event.type === 'died') log.error({ how: event.how, restartInMs: event.restartInMs }, 'the model process died')
  else if (event.type === 'log') log.warn({ line: event.line }, 'the model process wrote')
  else {
    const reason = event.error instanceof Error ? event.error.message : String(event.error)
    log.error({ reason, restartInMs: event.restartInMs }, 'the model process could not be started')
  }
}

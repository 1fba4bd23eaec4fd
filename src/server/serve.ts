/**
 * Starts a server: state, keys and logs, the listening gateway, the runner; and stops it, ending running work within a
 * time limit.
 */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { AuditLog } from '../audit/entry.ts'
import type { FolderAuditLog } from '../audit/audit-log.ts'
import { VeritError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { AsyncDisposableStack } from '../lib/disposable-stack.ts'
import { ModelRunner } from '../runner/model-runner.ts'
import type { ModelRunnerOptions } from '../runner/model-runner.ts'
import type { NewKey } from '../store/key-store.ts'
import { openRateState } from '../store/open-rate-state.ts'
import { openStore } from '../store/open-store.ts'
import { lockState } from '../store/state-lock.ts'
import type { Store } from '../store/store.ts'
import type { Digest } from '../trust/digest.ts'
import type { ModelTrust, TrustedAs } from '../trust/model-trust.ts'
import { Admission } from './admission.ts'
import { AlertDesk } from './alert-desk.ts'
import { openKeptLog } from './audit-memory.ts'
import { reportClock } from './clock-report.ts'
import type { ServerConfig } from './config.ts'
import { createTransport } from './connections.ts'
import type { GatewayContext } from './context.ts'
import { conversationSettings } from './chat-template.ts'
import type { ConversationSettings } from './chat-template.ts'
import { buildGateway } from './gateway.ts'
import { HeldAnswers } from './held-answers.ts'
import { httpRules, isLoopback } from './http-checks.ts'
import { startListening } from './listen.ts'
import { Metrics } from './metrics.ts'
import { OutboxDrain } from './outbox-drain.ts'
import { Refusals } from './refusals.ts'
import { keepTextsFor } from './retention.ts'
import { Revocations } from './revocations.ts'
import { noteRunner } from './runner-events.ts'
import { runnerOptions } from './runner-options.ts'
import { serverKey } from './server-key.ts'
import { clockTolerance } from './signatures.ts'
import { trustCheck } from './trust-check.ts'
import { UnauditedTime } from './unaudited.ts'

/** Time to tell clients that the server stops. */
const LAST_WORDS_MS = 2000

export interface ServeOptions {
  /** Path of the GGUF file. */
  model: string
  /** Name by which clients ask for it. Default: the file's name without its ending. */
  modelName?: string
  /**
   * Name and signature for the trust check of a pulled model. Default: its file's name without the ending, and the
   * signature beside it.
   */
  trustedAs?: TrustedAs
  config: ServerConfig
  /** State folder. */
  state: string
  /** postgres://... ; default: SQLite in the state folder. */
  databaseUrl?: string
  /** redis://... ; default: rates are counted in this process. */
  rateUrl?: string
  /** `whsec_...` or `whsk_...`, one or, during rotation, two. */
  webhookSecrets?: readonly string[]
  /** Whether a store without keys gets a first one. Only where a person will see it. Default true. */
  makeFirstKey?: boolean
  /** Ends a running start. */
  signal?: AbortSignal
  /** For the runner. */
  runner?: Pick<ModelRunnerOptions, 'hangMs' | 'onDigestProgress' | 'expectedDigest'>
  log: Log
}

export interface RunningServer {
  /** For example http://127.0.0.1:8081; for a Unix socket http://localhost */
  readonly url: string
  /** Path of its Unix socket; undefined: it listens on a port. */
  readonly socket: string | undefined
  readonly modelId: string
  readonly model: ModelRunner
  /** Why it may be served. */
  readonly trust: ModelTrust
  /** The key that was made because the store had never held one. */
  readonly firstKey: NewKey | undefined
  /** Whether the store holds no key, so that nobody can be answered yet. */
  readonly keyless: boolean
  /** Whether others than this machine can reach it. */
  readonly exposed: boolean
  readonly audit: AuditLog | undefined
  /**
   * Accepts no more requests, lets running ones end for `graceMs` (default 10,000), then ends them with an error, then
   * the runner.
   */
  close(graceMs?: number): Promise<void>
}

/**
 * Resolves when the model is loaded and requests are answered. @throws VeritError, VERIT_INTERRUPTED after the
 * signal; the audit log then ends as at any stop
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { log, config, state, makeFirstKey = true } = options
  const modelId = options.modelName ?? nameOf(options.model)
  const undo = new AsyncDisposableStack()
  const interrupted = rejectsAt(options.signal)
  try {
    const transport = createTransport(config, log)
    undo.defer(() => transport.close())
    const check = trustCheck(options.model, options.trustedAs, config.trust, state)
    undo.use(lockState(state))
    const store = await openStore({ stateFolder: state, databaseUrl: options.databaseUrl, databaseClock: true })
    undo.defer(() => store.close())
    undo.use(reportClock(store.clock, clockTolerance(config.signing.windowSeconds), log))
    const rates = await openRateState(options.rateUrl)
    undo.defer(() => rates.close())
    const { audit, unaudited } = await openLog(config.audit, state, store, undo, log)
    const { failuresPerMinute, allFailuresPerMinute } = config.addresses
    const refusals = new Refusals(
      { perSource: failuresPerMinute, all: allFailuresPerMinute },
      entry => audit?.append(entry) ?? Promise.resolve(),
      log
    )
    undo.defer(() => refusals.close())
    const metrics = new Metrics()
    const desk = await AlertDesk.open(config.watch, state, options.webhookSecrets ?? [], { log, metrics, audit })
    undo.defer(() => desk.close())
    const outbox = new OutboxDrain(store.outbox, audit, log)
    undo.defer(() => outbox.close())
    const stopping = new AbortController()
    const { parallel, queue } = config.inference
    const conversation = conversationSettings(config.inference, 'the configuration')
    const context: GatewayContext = {
      config,
      rules: httpRules(config),
      store,
      rates,
      audit,
      unaudited,
      watch: desk.watch,
      metrics,
      refusals,
      log,
      modelId,
      model: undefined,
      admission: new Admission({ parallel, queue }),
      heldAnswers: new HeldAnswers(),
      revocations: new Revocations(store.keys),
      serverKey: serverKey(state),
      drainOutbox: () => outbox.drain(),
      onAlerts: alerts => desk.tell(alerts),
      stopping: stopping.signal
    }
    const app = buildGateway(context, transport)
    metrics.watch(transport.counts, context.admission)
    metrics.watchEngine(async () => context.model?.runner.figures())
    undo.defer(() => app.close())
    await outbox.drain()
    await audit?.append({ type: 'config', digest: digestOf(config), detail: shownConfig(config) })
    const url = await startListening(app, config.listen, transport.scheme)
    let trust: ModelTrust | undefined
    let digest: Digest | undefined
    const start = ModelRunner.start(options.model, {
      onDigest: taken => void (trust = check((digest = taken))),
      ...runnerOptions(config, conversation),
      ...options.runner,
      onEvent: event => noteRunner(context, event)
    })
    const model = await Promise.race([start, interrupted]).catch(async (e: unknown) => {
      if (VeritError.is(e, 'VERIT_INTERRUPTED')) {
        await noteStop(audit, log)
        throw e
      }
      const detail = {
        model: modelId,
        ...(digest !== undefined && { digest }),
        reason: VeritError.is(e) ? e.code : 'VERIT_INTERNAL'
      }
      await audit
        ?.append({ type: 'server', event: 'refused', detail })
        .catch((why: unknown) => log.error({ cause: String(why) }, 'the refusal is not in the audit log'))
      throw e
    })
    undo.defer(() => model.close())
    context.model = { id: modelId, created: Math.floor(Date.now() / 1000), runner: model }
    const { cacheType } = model.info
    const settings = { ...(cacheType !== undefined && { cacheType }), ...overridden(conversation) }
    await audit?.append({
      type: 'server',
      event: 'model',
      detail: { model: modelId, digest: model.digest, trust, ...settings }
    })
    const firstKey = makeFirstKey ? await store.keys.createFirst('first key') : undefined
    const keyless = firstKey === undefined && (await store.keys.list()).length === 0
    await outbox.drain()
    const kept = undo.move()
    const close = async (graceMs = 10_000): Promise<void> => {
      await endGently(app, stopping, graceMs)
      await noteStop(audit, log)
      await kept.disposeAsync()
    }
    const { socket, host } = config.listen
    const exposed = socket === '' && !isLoopback(host)
    const bound = socket === '' ? undefined : socket
    return { url, socket: bound, modelId, model, trust: trust!, firstKey, keyless, exposed, audit, close }
  } catch (e) {
    await undo.disposeAsync()
    throw e
  }
}

/** Rejects once the signal is aborted; never resolves. */
function rejectsAt(signal: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => undefined)
  const interrupt = (): void =>
    reject(new VeritError('VERIT_INTERRUPTED', { saved: 'the server had not started yet', resume: 'Start it again' }))
  if (signal?.aborted === true) interrupt()
  else signal?.addEventListener('abort', interrupt, { once: true })
  return promise
}

async function noteStop(audit: AuditLog | undefined, log: Log): Promise<void> {
  await audit
    ?.append({ type: 'server', event: 'stop', detail: {} })
    .catch((e: unknown) => log.error({ cause: String(e) }, 'the stop is not in the audit log'))
}

/**
 * The operator's replacements of the file's conversation settings: prompts depend on them, so the audit log records
 * them.
 */
function overridden({ chatTemplate, endTokens }: ConversationSettings): Record<string, unknown> {
  return {
    ...(chatTemplate !== undefined && {
      chatTemplate: `sha256:${createHash('sha256').update(chatTemplate.text).digest('hex')}`
    }),
    ...(endTokens !== undefined && { endTokens })
  }
}

/** The audit log or, if the operator disabled it, a record of the time without one. */
async function openLog(
  config: ServerConfig['audit'],
  state: string,
  { evidence, clock }: Store,
  undo: AsyncDisposableStack,
  log: Log
): Promise<{ audit: FolderAuditLog | undefined; unaudited: UnauditedTime | undefined }> {
  if (!config.enabled) {
    return { audit: undefined, unaudited: undo.use(await UnauditedTime.begin(evidence, 'audit.enabled = false', log)) }
  }
  const { audit } = undo.use(await openKeptLog(config, state, evidence, log))
  undo.use(keepTextsFor(config.textsDays, audit, log, clock.latestBefore))
  return { audit, unaudited: undefined }
}

/** Addresses of webhooks often hold a secret in their path. */
function shownConfig(config: ServerConfig): Record<string, unknown> {
  const { webhookUrl } = config.watch
  return { ...config, watch: { ...config.watch, webhookUrl: webhookUrl === '' ? '' : new URL(webhookUrl).origin } }
}

const digestOf = (config: ServerConfig): string =>
  `sha256:${createHash('sha256').update(JSON.stringify(config)).digest('hex')}`

/** No more requests; running ones may end. */
async function endGently(app: FastifyInstance, stopping: AbortController, graceMs: number): Promise<void> {
  const timers = [
    setTimeout(() => stopping.abort(), graceMs),
    setTimeout(() => app.server.closeAllConnections(), graceMs + LAST_WORDS_MS),
    setInterval(() => app.server.closeIdleConnections(), 50) // an answer that ends now leaves its connection open
  ]
  await app.close()
  timers.forEach(clearTimeout)
}

/** `models/verit-sotu.gguf` -> verit-sotu; characters that would need escaping somewhere become dashes. */
function nameOf(path: string): string {
  return (
    basename(path)
      .replace(/\.gguf$/i, '')
      .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
      .slice(0, 100) || 'model'
  )
}

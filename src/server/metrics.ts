/**
 * Metrics for Prometheus. No label holds a key, an address, a prompt or anything else a client chose: routes are rows
 * of the table, codes rows of the error table. So nothing here tells one tenant of another.
 */
import { readdirSync } from 'node:fs'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { lostLogLines } from '../lib/log-output.ts'
import type { Figures } from '../runner/messages.ts'
import type { Admission } from './admission.ts'
import type { TransportCounts } from './connections.ts'

export interface EndedRequest {
  /** nameOf(): method and path of the row. */
  readonly route: string
  readonly status: number
  /** Error code, if it failed. */
  readonly code: string | undefined
  readonly seconds: number
  readonly promptTokens: number | undefined
  /** Prompt tokens served from the prefix cache. */
  readonly cachedTokens?: number | undefined
  readonly completionTokens: number | undefined
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const SYNC_SECONDS = [0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1]

/** Help of an old name, which stays for one version. */
const deprecated = (name: string): string => `Deprecated: use ${name}`

export class Metrics {
  #registry = new Registry()
  #requests = this.#counter('verit_requests_total', 'Requests by route and status', ['route', 'status'])
  #refused = this.#counter('verit_errors_total', 'Failed requests by error code', ['code'])
  #tokens = this.#counter('verit_tokens_total', 'Tokens of prompts and answers', ['kind'])
  #reused = this.#counter('verit_cache_reused_tokens_total', 'Prompt tokens served from the prefix cache')
  #ignored = this.#counter(
    'verit_fields_ignored_total',
    'Request fields without effect, by name; "other": unknown names',
    ['field']
  )
  #seconds = this.#histogram(
    'verit_request_seconds',
    'Duration of a request, from its headers to the end of its answer',
    SECONDS,
    ['route']
  )
  #firstToken = this.#histogram(
    'verit_first_token_seconds',
    'Time from the headers of a request to the first token of its answer',
    SECONDS
  )
  #audit = this.#histogram(
    'verit_audit_append_seconds',
    'Time until an entry of the audit log is durable',
    SYNC_SECONDS
  )
  #alerts = this.#counter('verit_alerts_total', 'Alerts of unusual use, by rule', ['rule'])
  #webhooks = this.#counter('verit_webhook_total', 'Alerts sent to the webhook, by result', ['result'])
  #openLimited = this.#counter(
    'verit_open_limited_total',
    'Requests to routes without a key beyond the limit of their address; their connection was closed'
  )
  #deaths = this.#counter('verit_runner_deaths_total', 'Deaths of the runner')

  get contentType(): string {
    return this.#registry.contentType
  }

  /** All metrics in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  requestEnded({
    route,
    status,
    code,
    seconds,
    promptTokens = 0,
    cachedTokens = 0,
    completionTokens = 0
  }: EndedRequest): void {
    this.#requests.inc({ route, status: String(status) })
    if (code !== undefined) this.#refused.inc({ code })
    this.#tokens.inc({ kind: 'prompt' }, promptTokens)
    this.#reused.inc(cachedTokens)
    this.#tokens.inc({ kind: 'completion' }, completionTokens)
    this.#seconds.observe({ route }, seconds)
  }

  /** @param known names of the tables of fields, with their place @param unknown number of others */
  fieldsIgnored(known: Iterable<string>, unknown: number): void {
    for (const field of known) this.#ignored.inc({ field })
    if (unknown > 0) this.#ignored.inc({ field: 'other' }, unknown)
  }

  /** A request to a route that needs no key. @param code of the error table, if it was refused */
  openAnswered(route: string, status: number, code?: string): void {
    this.#requests.inc({ route, status: String(status) })
    if (code !== undefined) this.#refused.inc({ code })
  }

  /** A client asked such a route more often than its address may. */
  openLimited(): void {
    this.#openLimited.inc()
  }

  firstToken(seconds: number): void {
    this.#firstToken.observe(seconds)
  }

  auditAppended(seconds: number): void {
    this.#audit.observe(seconds)
  }

  alerted(rule: string): void {
    this.#alerts.inc({ rule })
  }

  webhook(result: 'sent' | 'failed' | 'dropped'): void {
    this.#webhooks.inc({ result })
  }

  runnerDied(): void {
    this.#deaths.inc()
  }

  /** Reads these for each scrape of the metrics. */
  watch(counts: TransportCounts, admission: Admission): void {
    this.#gauge('verit_connections', 'Open connections', () => counts.open)
    this.#gauge('verit_connections_authenticated', 'Open authenticated connections', () => counts.proven)
    this.#gauge('verit_connections_proven', deprecated('verit_connections_authenticated'), () => counts.proven)
    this.#gauge(
      'verit_connections_refused',
      'Connections closed at once because every slot was in use, since the start',
      () => counts.refused
    )
    this.#gauge(
      'verit_connections_ended',
      'Unauthenticated or idle connections closed to make room for others, since the start',
      () => counts.ended
    )
    this.#gauge('verit_tls_handshakes_failed', 'Failed TLS handshakes, since the start', () => counts.handshakesFailed)
    this.#gauge('verit_log_lines_lost', 'Lost log lines, since the start', lostLogLines)
    this.#gauge('verit_generations_running', 'Running generations', () => admission.load.running)
    this.#gauge('verit_generations_waiting', 'Waiting generations', () => admission.load.waiting)
    // of prom-client's own these cost nothing between two scrapes; those of the event loop and the collector of garbage
    // do
    this.#gauge('process_resident_memory_bytes', 'Memory of the gateway, without the runner', () =>
      process.memoryUsage.rss()
    )
    if (process.platform === 'linux') {
      this.#gauge('process_open_fds', 'Open descriptors of the gateway', () => readdirSync('/proc/self/fd').length - 1)
    }
    this.#gauge(
      'process_start_time_seconds',
      'Start of the gateway, seconds since 1970',
      () => performance.timeOrigin / 1000
    )
    this.#gauge('process_cpu_seconds_total', 'Processor time of the gateway, since the start', () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    })
  }

  /** Asks the runner once per scrape for all of these. They are 0 while it does not answer. */
  watchEngine(read: () => Promise<Figures | undefined>): void {
    const gauge = (name: string, help: string, field: keyof Figures): void =>
      this.#gauge(name, help, async () => (await read())?.[field] ?? 0)
    gauge('verit_cache_pages', 'Pages of the KV cache, of 16 positions each', 'pages')
    gauge('verit_cache_pages_held', 'Pages that generations hold', 'held')
    gauge('verit_cache_pages_promised', 'Further pages reserved for running generations', 'promised')
    gauge('verit_cache_pages_kept', 'Pages of the prefix cache, freed when a generation needs them', 'kept')
    gauge('verit_draft_tokens_total', 'Verified draft tokens, since the start of the runner', 'drafted')
    gauge('verit_draft_tokens_accepted_total', 'Accepted draft tokens, since the start of the runner', 'accepted')
    gauge('verit_guessed_tokens_total', deprecated('verit_draft_tokens_total'), 'drafted')
    gauge('verit_guessed_tokens_accepted_total', deprecated('verit_draft_tokens_accepted_total'), 'accepted')
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] })
  }

  #histogram(name: string, help: string, buckets: number[], labelNames: string[] = []): Histogram {
    return new Histogram({ name, help, buckets, labelNames, registers: [this.#registry] })
  }

  #gauge(name: string, help: string, read: () => number | Promise<number>): void {
    void new Gauge({
      name,
      help,
      registers: [this.#registry],
      async collect() {
        this.set(await read())
      }
    })
  }
}

/** State shared by the routes of one gateway, and the record of one request. */
import type { AuditLog, RequestEntry } from '../audit/entry.ts'
import type { Log } from '../lib/log.ts'
import type { ModelRunner } from '../runner/model-runner.ts'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { KeyRecord, Scope } from '../store/key-store.ts'
import type { RateState } from '../store/rate-state.ts'
import type { Store } from '../store/store.ts'
import type { RequestSignature } from '../trust/request-profile.ts'
import type { ServerKey } from '../trust/response-profile.ts'
import type { Watch } from '../watch/watch.ts'
import type { Alert, Observation } from '../watch/observation.ts'
import type { Admission } from './admission.ts'
import type { ServerConfig } from './config.ts'
import type { IgnoredFields } from './dialect.ts'
import type { HeldAnswers } from './held-answers.ts'
import type { HttpRules } from './http-checks.ts'
import type { Metrics } from './metrics.ts'
import type { Refusals } from './refusals.ts'
import type { Revocations } from './revocations.ts'
import type { UnauditedTime } from './unaudited.ts'

export interface ServedModel {
  /** The name by which clients ask for it: from its file's name or the operator, never from inside the file. */
  id: string
  /** Seconds since 1970 at which it was loaded. */
  created: number
  runner: ModelRunner
}

export interface GatewayContext {
  config: ServerConfig
  /** Accepted Host, Origin and shape of a request, from the configuration. */
  rules: HttpRules
  store: Store
  rates: RateState
  /** Undefined where the operator switched it off. */
  audit: AuditLog | undefined
  /** Since when it could not be written, ISO 8601; undefined: it can. */
  auditFailing?: string | undefined
  /** The pending entry of the gap. */
  closingGap?: Promise<void> | undefined
  /** The pending update of the database. */
  keepingGap?: Promise<void> | undefined
  /** Counts work without an audit log; undefined if there is a log. */
  unaudited?: UnauditedTime | undefined
  /** performance.now() when a request last failed because the store, the rate state or the audit log did. */
  lastFailure?: number | undefined
  watch: Watch | undefined
  metrics: Metrics
  admission: Admission
  heldAnswers: HeldAnswers
  refusals: Refusals
  revocations: Revocations
  /** Signs answers. */
  serverKey: ServerKey
  /** Moves key changes from the store to the audit log now, not at the next round. */
  drainOutbox: () => Promise<void>
  /** Told of alerts: for the log, the audit log and the webhook. */
  onAlerts: (alerts: readonly Alert[]) => void
  log: Log
  modelId: string
  /** Undefined until it is loaded. */
  model: ServedModel | undefined
  /** Aborted when the server ends running work. */
  stopping: AbortSignal
}

/** A row of the route table that requires a key. A `GET` row answers HEAD, too. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH'
  /** A segment `:name` stands for one of letters, digits, `_`, `-` and `.`. */
  readonly path: string
  /** The scope that the key must have. */
  readonly requires: Scope
  readonly takesBody: boolean
  /** The answer, for docs/reference/http-api.md. */
  readonly purpose: string
  readonly handle: (context: GatewayContext, request: FastifyRequest, reply: FastifyReply) => unknown
}

/** A row of the route table that needs no key: answered from a text made beforehand (open-routes.ts). */
export interface OpenRoute {
  readonly method: 'GET'
  readonly path: string
  readonly requires: 'nothing'
  readonly takesBody: false
  /** The answer, for docs/reference/http-api.md. */
  readonly purpose: string
  readonly tell: (context: GatewayContext) => OpenAnswer
}

export interface OpenAnswer {
  readonly status: number
  /** Content-Type */
  readonly type: string
  readonly body: string
  /** Further headers. */
  readonly headers?: Readonly<Record<string, string>>
}

/** The caller and its proof. */
export interface Caller {
  readonly record: KeyRecord
  readonly credentialId: string
  readonly proof: RequestEntry['proof']
  /** The request's signature, if it has one. */
  readonly signature: RequestSignature | undefined
}

/** Facts of a generation for the audit entry. */
export interface GenerationNotes {
  parameters: Record<string, unknown>
  observed: Observation['parameters']
  prompt: string
  promptIds: readonly number[] | undefined
  answer: string
  finish: string | undefined
}

/** Facts about a request, for the log, the audit log and the watch. */
export interface RequestNotes {
  /** performance.now() at its start. */
  readonly start: number
  /** The matching row of the table. */
  route: Route | undefined
  /** Address of the client, through trusted proxies. */
  remote: string
  caller: Caller | undefined
  generation: GenerationNotes | undefined
  promptTokens: number | undefined
  /** Prompt tokens served from the prefix cache. */
  cachedTokens: number | undefined
  completionTokens: number | undefined
  error: unknown
  /** Ignored fields of its body; undefined if no body was read. */
  ignored: IgnoredFields | undefined
  /** A refused request that is counted in a summary instead of having its own entry and line. */
  counted: boolean
  /** Set once its entry is in the audit log, or need not be. */
  recorded: boolean
  /** Index of that entry. */
  entry: number | undefined
}

declare module 'fastify' {
  interface FastifyRequest {
    verit: RequestNotes
  }
}

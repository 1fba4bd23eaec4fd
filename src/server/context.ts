/** What the routes of one gateway share. */
import type { Log } from '../lib/log.ts'
import type { ModelRunner } from '../runner/model-runner.ts'
import type { KeyRecord, KeyStore } from '../store/key-store.ts'
import type { Admission } from './admission.ts'
import type { HostRules } from './http-checks.ts'

export interface ServedModel {
  /** The name by which clients ask for it: from its file's name or the operator, never from inside the file. */
  id: string
  /** Seconds since 1970 at which it was loaded. */
  created: number
  runner: ModelRunner
}

export interface GatewayContext {
  store: KeyStore
  rules: HostRules
  admission: Admission
  requestTimeoutSeconds: number
  log: Log
  modelId: string
  /** Undefined until it is loaded. */
  model: ServedModel | undefined
  /** Aborted when the server ends what is still under way. */
  stopping: AbortSignal
}

/** What is noted of a request for its line in the log. */
export interface RequestNotes {
  key: KeyRecord | undefined
  promptTokens: number | undefined
  completionTokens: number | undefined
  error: unknown
}

declare module 'fastify' {
  interface FastifyRequest {
    verit: RequestNotes
  }
}

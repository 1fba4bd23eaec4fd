/**
 * Sends alerts to an address of the operator's, signed as Standard Webhooks 1.0 has it. Alerts wait in memory, at most
 * 100; one is sent at a time; what fails is sent again, later, under the same id. Redirects are not followed. The
 * address is the operator's own setting, never a client's, so it may lie in a private network.
 */
import { randomUUID } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import type { Alert } from './observation.ts'
import type { WebhookSigner } from './webhook-secret.ts'

const WAITING = 100
const TIMEOUT_MS = 10_000
/** Before each repetition; about 2 h 40 min together. */
const RETRY_MS: readonly number[] = [5000, 30_000, 300_000, 1_800_000, 7_200_000]

export interface WebhookOptions {
  readonly url: string
  /** All sign: during rotation, the receiver may know the old or the new secret. */
  readonly signers: readonly WebhookSigner[]
  readonly log: Log
  /** Told what became of each alert: delivered; given up; pushed out by newer ones, or left over at the end. */
  readonly onResult: (result: 'sent' | 'failed' | 'dropped') => void
  /** Default: 5 s, 30 s, 5 min, 30 min, 2 h. */
  readonly retryMs?: readonly number[]
  /** Default 10 s for one attempt, connection and answer. */
  readonly timeoutMs?: number
}

interface Message {
  readonly id: string
  readonly body: string
  attempts: number
  /** performance.now() from which it may be sent. */
  due: number
}

export class Webhook {
  #options: WebhookOptions
  #waiting: Message[] = []
  #timer: NodeJS.Timeout | undefined
  #sending = false
  #closed = new AbortController()

  constructor(options: WebhookOptions) {
    if (options.signers.length === 0) {
      throw new VeritError('VERIT_CONFIG', {
        source: 'the environment',
        field: 'VERIT_WEBHOOK_SECRET',
        problem: 'is missing: alerts are signed'
      })
    }
    this.#options = options
  }

  /** Returns immediately. */
  send(alert: Alert): void {
    if (this.#closed.signal.aborted) return
    const { at, ...data } = alert
    const body = JSON.stringify({ type: 'verit.alert', timestamp: new Date(at).toISOString(), data })
    this.#put({ id: `msg_${randomUUID()}`, body, attempts: 0, due: performance.now() })
    this.#schedule()
  }

  /** Waiting messages are dropped: they are in the audit log. */
  close(): void {
    clearTimeout(this.#timer)
    this.#closed.abort()
    for (let i = this.#waiting.splice(0).length; i > 0; i--) this.#options.onResult('dropped')
  }

  #put(message: Message): void {
    this.#waiting.push(message)
    if (this.#waiting.length <= WAITING) return
    this.#waiting.shift()
    this.#options.onResult('dropped')
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    if (this.#sending || this.#waiting.length === 0) return
    const due = Math.min(...this.#waiting.map(m => m.due))
    this.#timer = setTimeout(() => void this.#next(), Math.max(0, due - performance.now())).unref()
  }

  /**
   * Takes the message that is due first out of those that wait, sends it, and puts it back if it failed and may be
   * tried again.
   */
  async #next(): Promise<void> {
    const first = this.#waiting.reduce((a, b) => (b.due < a.due ? b : a))
    this.#waiting.splice(this.#waiting.indexOf(first), 1)
    this.#sending = true
    const problem = await this.#attempt(first)
    this.#sending = false
    const wait = (this.#options.retryMs ?? RETRY_MS)[first.attempts++]
    if (problem === undefined) this.#options.onResult('sent')
    else if (this.#closed.signal.aborted) this.#options.onResult('dropped')
    else if (wait === undefined || problem === 'status 410') {
      this.#options.log.error({ id: first.id, attempts: first.attempts, problem }, 'an alert did not reach the webhook')
      this.#options.onResult('failed')
    } else {
      this.#options.log.warn(
        { id: first.id, attempts: first.attempts, problem, againInMs: wait },
        'an alert did not reach the webhook yet'
      )
      first.due = performance.now() + wait
      this.#put(first)
    }
    if (!this.#closed.signal.aborted) this.#schedule()
  }

  /** The problem without the address, whose path may be a secret. Undefined: delivered. */
  async #attempt({ id, body }: Message): Promise<string | undefined> {
    const timestamp = String(Math.floor(Date.now() / 1000))
    const signature = this.#options.signers.map(sign => sign(`${id}.${timestamp}.${body}`)).join(' ')
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'verit',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signature
    }
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(this.#options.timeoutMs ?? TIMEOUT_MS)])
    try {
      const response = await fetch(this.#options.url, { method: 'POST', headers, body, redirect: 'manual', signal })
      await response.body?.cancel()
      return response.ok ? undefined : `status ${response.status}`
    } catch (e) {
      return problemOf(e)
    }
  }
}

function problemOf(e: unknown): string {
  if (!(e instanceof Error)) return 'it failed'
  if (e.name === 'TimeoutError') return 'no answer in time'
  const code = (e.cause as NodeJS.ErrnoException | undefined)?.code
  return code ?? e.name
}

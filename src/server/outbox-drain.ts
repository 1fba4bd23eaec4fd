/**
 * Moves key changes from the store's outbox, where each was written in its own transaction, to the audit log: at once
 * on request, otherwise twice a second.
 */
import type { AuditLog } from '../audit/entry.ts'
import type { Log } from '../lib/log.ts'
import type { Outbox } from '../store/store.ts'

const EVERY_MS = 500

export class OutboxDrain {
  #outbox: Outbox
  #audit: AuditLog | undefined
  #log: Log
  #timer: NodeJS.Timeout
  #running: Promise<void> | undefined
  #failing = false

  /** Without an audit log, changes stay in the store for a log that is enabled later. */
  constructor(outbox: Outbox, audit: AuditLog | undefined, log: Log) {
    this.#outbox = outbox
    this.#audit = audit
    this.#log = log
    this.#timer = setInterval(() => void this.#try(), EVERY_MS).unref()
  }

  /** Resolves when all changes made before the call are in the log. */
  async drain(): Promise<void> {
    await this.#running?.catch(() => undefined)
    this.#running ??= this.#drain().finally(() => void (this.#running = undefined))
    await this.#running
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running?.catch(() => undefined)
  }

  async #drain(): Promise<void> {
    const audit = this.#audit
    if (audit === undefined) return
    while (
      (await this.#outbox.drain(async events => {
        await Promise.all(
          events.map(({ id, time, actor, type, detail }) =>
            audit.append({ type: 'key', event: type, outbox: id, actor, at: time, detail })
          )
        )
      })) > 0
    );
  }

  async #try(): Promise<void> {
    try {
      if (this.#running === undefined) await this.drain()
      this.#failing = false
    } catch (e) {
      if (!this.#failing)
        this.#log.error(
          { cause: e instanceof Error ? e.message : String(e) },
          'changes of keys could not be moved to the audit log'
        )
      this.#failing = true
    }
  }
}

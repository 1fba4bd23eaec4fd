/**
 * Signal handling of `verit serve` (lib/process-protections.ts) from its first line on: before the server answers, a
 * signal ends the start.
 */
import { constants } from 'node:os'
import { isatty } from 'node:tty'
import type { Log } from '../lib/log.ts'
import { signalsThat } from '../lib/process-protections.ts'
import type { RunningServer } from '../server/serve.ts'
import { SAME_SIGNAL_MS } from './interruption.ts'

const terminals = (): number => [0, 1, 2].filter(fd => isatty(fd)).length

export class ServeSignals {
  #log: Log
  #graceSeconds: number
  #server: RunningServer | undefined
  #asked: number | undefined
  #starting = new AbortController()
  #status = 0
  #terminals = terminals()

  constructor(log: Log, graceSeconds: number) {
    this.#log = log
    this.#graceSeconds = graceSeconds
    for (const signal of signalsThat('gateway', 'stop')) process.on(signal, () => this.#stop(signal))
    for (const signal of signalsThat('gateway', 'reload')) process.on(signal, () => this.#reload(signal))
  }

  /** Ends a running start. */
  get starting(): AbortSignal {
    return this.#starting.signal
  }

  /** 128 and the number of the signal that ended the start, as shells and service managers expect. */
  get status(): number {
    return this.#status
  }

  /** From now on a signal lets running answers end in order. */
  serves(server: RunningServer): void {
    this.#server = server
  }

  /** The first signal stops in order, the second at once. Under npm one Ctrl-C arrives twice within milliseconds. */
  #stop(signal: NodeJS.Signals): void {
    this.#status = 128 + constants.signals[signal]
    if (this.#asked !== undefined) {
      if (performance.now() - this.#asked > SAME_SIGNAL_MS) process.exit(this.#status)
      return
    }
    this.#asked = performance.now()
    if (this.#server === undefined) {
      this.#log.warn({ signal }, 'stopping before the server has started')
      this.#starting.abort()
      return
    }
    const graceSeconds = this.#graceSeconds
    this.#log.info({ signal, graceSeconds }, 'stopping; answers under way may end, a second signal stops at once')
    this.#server.close(graceSeconds * 1000).then(
      () => process.exit(0),
      (e: unknown) => {
        this.#log.fatal({ cause: String(e) }, 'the server did not stop in order')
        process.exit(1)
      }
    )
  }

  /** A terminal that closes sends SIGHUP, too: a server that was started in it ends with it. */
  #reload(signal: NodeJS.Signals): void {
    if (terminals() < this.#terminals) return this.#stop(signal)
    this.#log.info({ signal }, 'changed certificates are read again; other settings are read at the start only')
  }
}

/** Why a generation ends early: the client left, its time is up, its key is no longer valid, or the server stops. */
import type { ServerResponse } from 'node:http'
import { VeritError } from '../lib/errors.ts'
import type { GatewayContext } from './context.ts'

/** The reason of the signal when the client left; any other reason is the error to answer with. */
export const LEFT = Symbol('the client left')

export class Ending implements Disposable {
  readonly signal: AbortSignal
  #abort = new AbortController()
  #timer: NodeJS.Timeout
  #dispose: () => void

  constructor({ stopping, config }: GatewayContext, raw: ServerResponse) {
    this.signal = this.#abort.signal
    const seconds = config.inference.requestTimeoutSeconds
    const left = (): void => this.#abort.abort(LEFT)
    const stop = (): void => this.end(new VeritError('VERIT_STOPPING', { what: 'ended this answer' }))
    raw.once('close', left)
    if (raw.destroyed) left() // it went while its body was being read
    if (stopping.aborted) stop()
    else stopping.addEventListener('abort', stop, { once: true })
    this.#timer = setTimeout(() => this.end(new VeritError('VERIT_TIMEOUT', { seconds })), seconds * 1000)
    this.#dispose = () => {
      raw.off('close', left)
      stopping.removeEventListener('abort', stop)
    }
  }

  end(why: VeritError): void {
    this.#abort.abort(why)
  }

  /** The error to answer with. Without a reason, the process itself gave up. */
  get reason(): unknown {
    return this.signal.aborted ? this.signal.reason : new VeritError('VERIT_UNAVAILABLE', { what: 'runner' })
  }

  get clientLeft(): boolean {
    return this.signal.reason === LEFT
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#dispose()
  }
}

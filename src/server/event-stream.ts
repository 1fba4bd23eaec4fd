/**
 * Server-sent events to one client; the head of the answer goes out with the first of them. While there is nothing to
 * send, comments keep proxies from ending the connection. The signature at the end covers all that was sent.
 */
import type { ServerResponse } from 'node:http'
import type { StreamSigner } from '../trust/stream-signature.ts'
import { writePatiently } from './patient-write.ts'

/** Multiple of bytes that padded events have: one of a token has 260 to 400 before. */
const PAD = 512
/** OpenAI's name of a field that clients ignore. */
const FIELD = ',"obfuscation":""'

/**
 * An object as JSON with a last field that pads the event (`data: ` and two line feeds included) to a multiple of PAD
 * bytes.
 */
function padded(json: string): string {
  const bytes = Buffer.byteLength(json) + FIELD.length + 'data: \n\n'.length
  return `${json.slice(0, -1)}${FIELD.slice(0, -1)}${'x'.repeat((PAD - (bytes % PAD)) % PAD)}"}`
}

/** A comment (HTML, section 9.2.5), which readers of events skip. */
const KEEP_ALIVE = ': keep-alive\n\n'

export interface StreamOptions {
  /** A client that reads nothing for this long is given up. */
  readonly slowMs: number
  /** A stream that has sent nothing for this long sends a comment. 0: never. */
  readonly keepAliveMs: number
  /** Sends the head of the answer and returns the signer of its end. Called once, before the first byte. */
  readonly open: () => StreamSigner | undefined
}

export class EventStream implements Disposable {
  #raw: ServerResponse
  #options: StreamOptions
  #signer: StreamSigner | undefined
  #begun = false
  #timer: NodeJS.Timeout | undefined

  constructor(raw: ServerResponse, options: StreamOptions) {
    this.#raw = raw
    this.#options = options
    if (options.keepAliveMs > 0) this.#timer = setTimeout(() => this.#keepAlive(), options.keepAliveMs)
  }

  /** Whether its head was sent: an error can only be an event then. */
  get begun(): boolean {
    return this.#begun
  }

  /**
   * @param pad whether to fill the event up to a multiple of PAD bytes, so that its size does not tell the length of
   * its token's text
   */
  send(value: object, pad = false): Promise<void> {
    const json = JSON.stringify(value)
    return this.#sendText(`data: ${pad ? padded(json) : json}\n\n`)
  }

  /** Ends a complete answer: OpenAI's end mark, then the signature over everything before it. */
  async done(): Promise<void> {
    await this.#sendText('data: [DONE]\n\n')
    await this.end()
  }

  /** Ends the stream, complete or not. */
  async end(): Promise<void> {
    this[Symbol.dispose]()
    const last = this.#signer?.end()
    this.#signer = undefined
    if (last !== undefined) await writePatiently(this.#raw, last, this.#options.slowMs)
    this.#raw.end()
  }

  /** Sends no more comments. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  async #sendText(text: string): Promise<void> {
    this.#timer?.refresh()
    if (!this.#begun) {
      this.#begun = true
      this.#signer = this.#options.open()
    }
    this.#signer?.update(text)
    await writePatiently(this.#raw, text, this.#options.slowMs)
  }

  #keepAlive(): void {
    // A client that has unread data needs no comment.
    if (this.#raw.destroyed || this.#raw.writableNeedDrain) this.#timer?.refresh()
    else this.#sendText(KEEP_ALIVE).catch(() => this.#raw.destroy())
  }
}

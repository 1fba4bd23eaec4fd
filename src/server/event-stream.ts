/** Server-sent events to one client: it is waited for while it reads, for a while, and what was sent is signed at the end where that was agreed. */
import type { ServerResponse } from 'node:http'
import type { StreamSigner } from '../trust/stream-signature.ts'

/** Multiple of bytes that padded events have: one of a token has 260 to 400 before. */
const PAD = 512
/** OpenAI's name of a field that clients ignore. */
const FIELD = ',"obfuscation":""'

/** An object as JSON with a last field that makes it a multiple of PAD bytes with what an event adds (`data: ` and two line feeds). */
function padded(json: string): string {
  const bytes = Buffer.byteLength(json) + FIELD.length + 'data: \n\n'.length
  return `${json.slice(0, -1)}${FIELD.slice(0, -1)}${'x'.repeat((PAD - (bytes % PAD)) % PAD)}"}`
}

export class EventStream {
  #raw: ServerResponse
  #slowMs: number
  #signer: StreamSigner | undefined

  /** @param slowMs a client that reads nothing for this long is given up */
  constructor(raw: ServerResponse, slowMs: number, signer: StreamSigner | undefined) {
    this.#raw = raw
    this.#slowMs = slowMs
    this.#signer = signer
  }

  /** @param pad whether to fill the event up to a multiple of PAD bytes, so that its size does not tell the length of its token's text */
  send(value: object, pad = false): Promise<void> {
    const json = JSON.stringify(value)
    return this.#sendText(`data: ${pad ? padded(json) : json}\n\n`)
  }

  /** Ends a complete answer: OpenAI's mark of the end, then, after all that it covers, the signature. */
  async done(): Promise<void> {
    await this.#sendText('data: [DONE]\n\n')
    await this.end()
  }

  /** Ends the stream, complete or not. */
  async end(): Promise<void> {
    const last = this.#signer?.end()
    this.#signer = undefined
    if (last !== undefined) await this.#write(last)
    this.#raw.end()
  }

  #sendText(text: string): Promise<void> {
    this.#signer?.update(text)
    return this.#write(text)
  }

  async #write(text: string): Promise<void> {
    const raw = this.#raw
    if (raw.destroyed || raw.write(text)) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => raw.destroy(), this.#slowMs)
      const done = (): void => {
        clearTimeout(timer)
        raw.off('drain', done).off('close', done)
        resolve()
      }
      raw.on('drain', done).on('close', done)
    })
  }
}

/**
 * One request at a time on a connection. HTTP/1.1 allows pipelined requests (RFC 9112, section 9.3.2), and Node passes
 * all that have arrived to the program at once. Here the next begins when the previous answer has been sent, for three
 * reasons. Bytes after a refused request may be a part of it that two programs parsed differently, and must never run.
 * Thousands of small requests in one packet would all take memory at once. And Node does not report that a client left
 * while an answer waits behind another. A complete answer that the client does not read is dropped after a while,
 * because Node would keep it and its connection for ever.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

/** Requests of one connection: one that is answered, and those that wait. Browsers and SDKs send one. */
const MOST = 64

interface Exchange {
  request: IncomingMessage
  response: ServerResponse
}

export class OneAtATime {
  /** The one that is being answered, and those that wait. */
  #exchanges = new WeakMap<Duplex, Exchange[]>()
  #tooMany: () => void
  #slowMs: number

  /**
   * @param tooMany called for each connection that is closed because it sent too many
   * @param slowMs timeout of a client that reads nothing of a complete answer
   */
  constructor(tooMany: () => void, slowMs: number) {
    this.#tooMany = tooMany
    this.#slowMs = slowMs
  }

  /**
   * Whether an answer to this connection may be in progress: a request has been read to its end, or its answer has
   * begun.
   */
  answers(socket: Duplex): boolean {
    const current = this.#exchanges.get(socket)?.[0]
    return current !== undefined && (current.request.complete || current.response.headersSent)
  }

  /** The listener, with the requests of each connection one after another. A connection with too many is ended. */
  listener(handler: RequestListener): RequestListener {
    const begin = ({ request, response }: Exchange): void => {
      const { socket } = request
      response.once('close', () => next(socket))
      // The socket's own timer, which starts anew whenever a piece goes out. Node sets it for idle connections when the
      // answer has gone, and clears it when a request comes; for one that has waited here, that is done below.
      response.once('prefinish', () => void socket.setTimeout(this.#slowMs))
      handler(request, response)
    }
    const next = (socket: Duplex): void => {
      const exchanges = this.#exchanges.get(socket)
      exchanges?.shift()
      const following = isOpen(socket) ? exchanges?.[0] : undefined
      if (following === undefined) this.#exchanges.delete(socket)
      else {
        following.request.socket.setTimeout(0)
        begin(following)
      }
    }
    return (request, response) => {
      const { socket } = request
      if (!isOpen(socket)) return
      const exchanges = this.#exchanges.get(socket)
      if (exchanges === undefined) {
        this.#exchanges.set(socket, [{ request, response }])
        begin({ request, response })
      } else if (exchanges.push({ request, response }) > MOST) {
        this.#tooMany()
        socket.destroy()
      }
    }
  }
}

const isOpen = (socket: Duplex): boolean => !socket.destroyed && socket.writable

/**
 * Keys of TLS session tickets. A TLS 1.2 session resumed by a ticket is only as secret as the ticket's key: whoever
 * reads that key from memory can decrypt every recorded session that it resumed. OpenSSL keeps one key for the life of
 * the process. Here it is replaced every hour; a ticket under an older key costs its client a full handshake (RFC 5077
 * section 5.5, RFC 9325 section 3.4).
 */
import { randomBytes } from 'node:crypto'
import type { Server } from 'node:tls'

/** OpenSSL's format: a name, an HMAC key and an AES key of 16 bytes each. */
const KEY_BYTES = 48
export const TICKET_KEY_MS = 3_600_000

export class TicketKeys {
  readonly #servers = new Set<Pick<Server, 'setTicketKeys'>>()
  readonly #timer: NodeJS.Timeout

  /** @param everyMs how long a key is used */
  constructor(everyMs = TICKET_KEY_MS) {
    this.#timer = setInterval(() => this.rotate(), everyMs).unref()
  }

  add(server: Pick<Server, 'setTicketKeys'>): void {
    this.#servers.add(server)
  }

  /** Replaces the keys now. */
  rotate(): void {
    for (const server of this.#servers) {
      const key = randomBytes(KEY_BYTES)
      server.setTicketKeys(key)
      key.fill(0)
    }
  }

  close(): void {
    clearInterval(this.#timer)
  }
}

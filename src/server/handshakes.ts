/**
 * TLS handshakes: counts and reports failed ones, ends running ones with the server, and ties each finished one to its
 * connection.
 */
import type { Server } from 'node:http'
import type { Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Log } from '../lib/log.ts'
import { refuseCertificate } from './client-certificate.ts'

/** Least time between two lines of the log about failed handshakes. */
const TELL_MS = 1000

export interface HandshakeRules {
  /** Whether a client must have a certificate. */
  readonly required: boolean
  readonly log: Log
  /** Counts a failure and gives the number of all. */
  readonly failed: () => number
  /** Called for each finished handshake, with its connection. */
  readonly done: (secure: TLSSocket, connection: Socket) => void
}

/** Runs a check before all other listeners of an event: nobody sees a socket that it refuses. */
export function guard<S extends Socket>(
  server: Server,
  event: 'connection' | 'secureConnection',
  admit: (socket: S) => boolean
): void {
  const next = server.listeners(event)
  server.removeAllListeners(event)
  server.on(event, (socket: S) => {
    if (!admit(socket)) socket.destroy()
    else for (const listener of next) listener.call(server, socket)
  })
}

/**
 * HTTP does not know connections that have not shaken hands: here they end with the idle ones, and their errors stay
 * here.
 */
export function guardHandshakes(server: SecureServer, rules: HandshakeRules): void {
  const shaking = new Map<string, Socket>()
  const nameOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress}`
  let told = -Infinity
  const failed = (reason: string, remote: string | undefined): void => {
    const count = rules.failed()
    // anyone can fail, as often as they like: the log must not grow with it
    if (performance.now() - told < TELL_MS) return
    told = performance.now()
    rules.log.info({ reason, remote, failed: count }, 'a TLS handshake failed')
  }
  server.prependListener('connection', (socket: Socket) => {
    const name = nameOf(socket)
    shaking.set(name, socket)
    socket.once('close', () => shaking.delete(name))
  })
  server.removeAllListeners('tlsClientError')
  server.on('tlsClientError', (error, socket) => {
    failed((error as NodeJS.ErrnoException).code ?? error.message, socket.remoteAddress)
    socket.destroy()
  })
  guard(server as unknown as Server, 'secureConnection', (socket: TLSSocket) => {
    const name = nameOf(socket)
    const connection = shaking.get(name)
    shaking.delete(name)
    const reason = refuseCertificate(socket, rules.required)
    if (reason !== undefined) failed(reason, socket.remoteAddress)
    else if (connection !== undefined) rules.done(socket, connection)
    return reason === undefined
  })
  for (const close of ['closeIdleConnections', 'closeAllConnections'] as const) {
    const http = server[close].bind(server)
    server[close] = () => {
      http()
      for (const socket of shaking.values()) socket.destroy()
    }
  }
}

/**
 * The listening side: plain or TLS, with the limits that hold before a request exists: time to shake hands, to send headers, to send a request, and
 * how many connections there may be, in all and from one address, so that no one can hold them all.
 */
import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Log } from '../lib/log.ts'
import { addressGroup } from './address-group.ts'
import { CertificateWatch } from './certificate-watch.ts'
import { refuseCertificate } from './client-certificate.ts'
import type { ServerConfig } from './config.ts'
import { AddressList, normalAddress } from './forwarded.ts'
import { OneAtATime } from './one-at-a-time.ts'
import { tlsOptions } from './tls.ts'
import type { TlsMaterial } from './tls.ts'

/** How often connections are looked at whose time may be up. */
const CHECK_MS = 1000
/** Least time between two lines of the log about failed handshakes. */
const TELL_MS = 1000

export interface Transport {
  /** For fastify(): the server it is to use, with all limits set. */
  readonly options: {
    readonly serverFactory: (handler: RequestListener) => Server
    readonly bodyLimit: number
    readonly forceCloseConnections: 'idle'
  }
  readonly scheme: 'http' | 'https'
  /** What to listen on: `localhost` becomes 127.0.0.1, for a server listens in one place. */
  readonly host: string
  /** Value of Strict-Transport-Security, where the server speaks TLS. */
  readonly hsts: string | undefined
  readonly counts: TransportCounts
  /** Whether a request of this connection is being answered. */
  readonly answers: (socket: Duplex) => boolean
  /** Ends the watch over the certificate files. */
  close(): void
}

export interface TransportCounts {
  /** Connections now. */
  open: number
  /** Connections beyond a limit, ended at once. */
  refused: number
  /** TLS handshakes that failed. */
  handshakesFailed: number
}

/** Reads and checks the certificate files. @throws VeritError VERIT_CONFIG */
export function createTransport(config: ServerConfig, log: Log): Transport {
  const { listen, http } = config
  const counts: TransportCounts = { open: 0, refused: 0, handshakesFailed: 0 }
  const secure = listen.tlsCert !== ''
  const servers: Server[] = []
  let material: TlsMaterial | undefined
  let watch: CertificateWatch | undefined
  if (secure) {
    ;({ material, watch } = CertificateWatch.start(listen, log, next => {
      material = next
      for (const server of servers) (server as unknown as SecureServer).setSecureContext(tlsOptions(next))
    }))
  }
  const options = {
    maxHeaderSize: http.headerBytes, headersTimeout: Math.min(http.headerSeconds, http.requestSeconds) * 1000, requestTimeout: http.requestSeconds * 1000,
    keepAliveTimeout: http.idleSeconds * 1000, connectionsCheckingInterval: CHECK_MS, requireHostHeader: true, insecureHTTPParser: false,
  }
  const inTurn = new OneAtATime(() => void counts.refused++, http.slowReaderSeconds * 1000)
  const serverFactory = (listener: RequestListener): Server => {
    const handler = inTurn.listener(listener)
    const server = material === undefined ? createServer(options, handler)
      : createSecureServer({ ...options, ...tlsOptions(material) }, handler) as unknown as Server
    if (secure) guardHandshakes(server as unknown as SecureServer, listen.tlsClientRequired, counts, log)
    limitConnections(server, config, counts)
    // Node would say "continue" to anyone and refuse other expectations by itself: both are decided where all else is.
    for (const event of ['checkContinue', 'checkExpectation']) server.on(event, (...args) => void server.emit('request', ...args))
    servers.push(server)
    return server
  }
  return {
    options: { serverFactory, bodyLimit: http.bodyBytes, forceCloseConnections: 'idle' },
    scheme: secure ? 'https' : 'http', host: listen.host === 'localhost' ? '127.0.0.1' : listen.host,
    hsts: secure && listen.hstsSeconds > 0 ? `max-age=${listen.hstsSeconds}` : undefined,
    counts, answers: socket => inTurn.answers(socket), close: () => watch?.close(),
  }
}

/** Puts a check before whatever else listens to an event: a socket that it refuses is seen by nobody. */
function guard<S extends Socket>(server: Server, event: 'connection' | 'secureConnection', admit: (socket: S) => boolean): void {
  const next = server.listeners(event)
  server.removeAllListeners(event)
  server.on(event, (socket: S) => {
    if (!admit(socket)) socket.destroy()
    else for (const listener of next) listener.call(server, socket)
  })
}

/** The newest connection beyond a limit is ended: those that are there are being served. */
function limitConnections(server: Server, { http, listen }: ServerConfig, counts: TransportCounts): void {
  const proxies = new AddressList(listen.trustedProxies)
  const byGroup = new Map<string, number>()
  guard(server, 'connection', (socket: Socket) => {
    const address = normalAddress(socket.remoteAddress ?? '')
    if (address === undefined) return false // it is gone already
    const group = addressGroup(address)
    const same = byGroup.get(group) ?? 0
    if (counts.open >= http.connections || (same >= http.connectionsPerAddress && !proxies.has(address))) {
      counts.refused++
      return false
    }
    counts.open++
    byGroup.set(group, same + 1)
    socket.once('close', () => {
      counts.open--
      const left = byGroup.get(group)! - 1
      if (left === 0) byGroup.delete(group)
      else byGroup.set(group, left)
    })
    return true
  })
}

/** Connections that have not shaken hands are none of HTTP's: they are ended with the idle ones, and their errors stay here. */
function guardHandshakes(server: SecureServer, required: boolean, counts: TransportCounts, log: Log): void {
  const shaking = new Map<string, Socket>()
  const nameOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`
  let told = -Infinity
  const failed = (reason: string, remote: string | undefined): void => {
    counts.handshakesFailed++
    if (performance.now() - told < TELL_MS) return // anyone can fail, as often as they like: the log need not grow with it
    told = performance.now()
    log.info({ reason, remote, failed: counts.handshakesFailed }, 'a TLS handshake failed')
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
    shaking.delete(nameOf(socket))
    const reason = refuseCertificate(socket, required)
    if (reason !== undefined) failed(reason, socket.remoteAddress)
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

/**
 * The listening side: plain or TLS, with the limits that apply before a request exists: time for the handshake, the
 * headers and the request, and the number of connections (connection-places.ts).
 */
import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Log } from '../lib/log.ts'
import { addressGroups } from './address-group.ts'
import { CertificateWatch } from './certificate-watch.ts'
import type { ServerConfig } from './config.ts'
import { ConnectionPlaces } from './connection-places.ts'
import type { Place } from './connection-places.ts'
import { ProxyList, peerOf } from './forwarded.ts'
import { guard, guardHandshakes } from './handshakes.ts'
import { OneAtATime } from './one-at-a-time.ts'
import { toOriginForm } from './request-target.ts'
import { TicketKeys } from './ticket-keys.ts'
import { tlsOptions } from './tls.ts'
import type { TlsMaterial } from './tls.ts'

/** Interval at which connections are checked for timeouts. */
const CHECK_MS = 1000

export interface Transport {
  /** For fastify(): the server it is to use, with all limits set. */
  readonly options: {
    readonly serverFactory: (handler: RequestListener) => Server
    readonly bodyLimit: number
    readonly forceCloseConnections: 'idle'
  }
  readonly scheme: 'http' | 'https'
  /** Value of Strict-Transport-Security, where the server speaks TLS. */
  readonly hsts: string | undefined
  readonly counts: TransportCounts
  /** Whether a request of this connection is being answered. */
  readonly answers: (socket: Duplex) => boolean
  /** A request on this connection was authenticated: from now on the connection counts as proven. */
  readonly proved: (socket: Duplex) => void
  /** Replaces the keys of TLS session tickets now, before their time. */
  rotateTicketKeys(): void
  /** Ends the watch over the certificate files. */
  close(): void
}

export interface TransportCounts {
  /** Connections now. */
  readonly open: number
  /** Number of authenticated ones among them. */
  readonly proven: number
  /** Connections closed at once because every slot was in use, or because of too many requests. */
  readonly refused: number
  /** Unauthenticated or idle connections that were ended to make room for others. */
  readonly ended: number
  /** TLS handshakes that failed. */
  readonly handshakesFailed: number
}

/** Reads and checks the certificate files. @throws VeritError VERIT_CONFIG */
export function createTransport(config: ServerConfig, log: Log): Transport {
  const { listen, http } = config
  const secure = listen.tlsCert !== ''
  const connections = new Connections(config)
  const servers: Server[] = []
  let material: TlsMaterial | undefined
  let watch: CertificateWatch | undefined
  const tickets = secure ? new TicketKeys() : undefined
  if (secure) {
    ;({ material, watch } = CertificateWatch.start(listen, log, next => {
      material = next
      for (const server of servers) (server as unknown as SecureServer).setSecureContext(tlsOptions(next))
    }))
  }
  const options = {
    maxHeaderSize: http.headerBytes,
    headersTimeout: Math.min(http.headerSeconds, http.requestSeconds) * 1000,
    requestTimeout: http.requestSeconds * 1000,
    keepAliveTimeout: http.idleSeconds * 1000,
    connectionsCheckingInterval: CHECK_MS,
    // A request without Host is refused by http-checks.ts, with Verit's headers and the shape of its errors.
    requireHostHeader: false,
    insecureHTTPParser: false
  }
  const inTurn = new OneAtATime(() => connections.refuse(), http.slowReaderSeconds * 1000)
  const serverFactory = (listener: RequestListener): Server => {
    const handler = connections.listener(inTurn.listener(listener))
    const server =
      material === undefined
        ? createServer(options, handler)
        : (createSecureServer({ ...options, ...tlsOptions(material) }, handler) as unknown as Server)
    if (secure) {
      guardHandshakes(server as unknown as SecureServer, {
        required: listen.tlsClientRequired,
        log,
        failed: () => connections.handshakeFailed(),
        done: (socket, connection) => connections.same(socket, connection)
      })
      tickets?.add(server as unknown as SecureServer)
    }
    guard(server, 'connection', (socket: Socket) => connections.admit(socket))
    // Node would answer "continue" to anyone and refuse other expectations by itself: both are decided with all other
    // checks.
    for (const event of ['checkContinue', 'checkExpectation'])
      server.on(event, (...args) => void server.emit('request', ...args))
    servers.push(server)
    return server
  }
  return {
    options: { serverFactory, bodyLimit: http.bodyBytes, forceCloseConnections: 'idle' },
    scheme: secure ? 'https' : 'http',
    hsts: secure && listen.hstsSeconds > 0 ? `max-age=${listen.hstsSeconds}` : undefined,
    counts: connections,
    answers: socket => inTurn.answers(socket),
    proved: socket => connections.proved(socket),
    rotateTicketKeys: () => tickets?.rotate(),
    close: () => {
      watch?.close()
      tickets?.close()
    }
  }
}

/** The connections of one transport: slots and records of each. */
class Connections implements TransportCounts {
  readonly #places: ConnectionPlaces
  readonly #proxies: ProxyList
  readonly #unix: boolean
  readonly #placeOf = new WeakMap<Duplex, Place>()
  #tooMany = 0
  handshakesFailed = 0

  constructor({ http, listen }: ServerConfig) {
    this.#places = new ConnectionPlaces({ connections: http.connections, perAddress: http.connectionsPerAddress })
    this.#proxies = new ProxyList(listen.trustedProxies)
    this.#unix = listen.socket !== ''
  }

  get open(): number {
    return this.#places.open
  }

  get proven(): number {
    return this.#places.proven
  }

  get ended(): number {
    return this.#places.ended
  }

  get refused(): number {
    return this.#places.refused + this.#tooMany
  }

  /** A connection was ended because it sent too many requests. */
  refuse(): void {
    this.#tooMany++
  }

  handshakeFailed(): number {
    return ++this.handshakesFailed
  }

  /** Gives a new connection a place; false: it must be closed. */
  admit(socket: Socket): boolean {
    const peer = peerOf(socket, this.#unix)
    if (peer === undefined) return false // it is gone already
    // A proxy speaks for many: of the limits of addresses it is exempt, of those on all connections it is not.
    const place = this.#places.enter(this.#proxies.has(peer) ? [] : addressGroups(peer), () => void socket.destroy())
    if (place === undefined) return false
    this.#placeOf.set(socket, place)
    socket.once('close', () => this.#places.leave(place))
    return true
  }

  /** A TLS socket shares the place of its connection. */
  same(socket: Duplex, connection: Duplex): void {
    const place = this.#placeOf.get(connection)
    if (place !== undefined) this.#placeOf.set(socket, place)
  }

  proved(socket: Duplex): void {
    const place = this.#placeOf.get(socket)
    if (place !== undefined) this.#places.proved(place)
  }

  /**
   * Notes requests and answers of each connection; targets in absolute form become paths before anything reads them.
   */
  listener(next: RequestListener): RequestListener {
    return (request: IncomingMessage, response: ServerResponse) => {
      if (request.socket.destroyed) return // the parser goes on with the rest of the packet
      toOriginForm(request)
      // An upgrade is ignored, but Node's parser drops bytes that came with it in one packet: no later bytes may count
      // as a request.
      if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false
      const place = this.#placeOf.get(request.socket)
      if (place !== undefined) this.#note(place, request, response)
      next(request, response)
    }
  }

  #note(place: Place, request: IncomingMessage, response: ServerResponse): void {
    if (this.#places.began(place)) response.shouldKeepAlive = false
    if (hasBody(request)) {
      this.#places.reads(place, true)
      request.once('end', () => this.#places.reads(place, false))
    }
    let written = false
    const worked = (): void => {
      if (!written) this.#places.worked(place)
      written = true
    }
    response.once('prefinish', worked)
    response.once('close', () => {
      worked()
      this.#places.reads(place, false)
      this.#places.answered(place)
    })
  }
}

/** RFC 9112 section 6.3: a request without these fields has no body. */
const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

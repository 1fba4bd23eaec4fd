/**
 * Real connections to a real listening server: TLS versions, client certificates, new certificates while it runs, and
 * the number of connections.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, Server } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect as tlsConnect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { makeCertificate } from '../../test/certificates.ts'
import { createLog } from '../lib/log.ts'
import { clientCertificate } from './client-certificate.ts'
import { defaultConfig } from './config.ts'
import type { ServerConfig } from './config.ts'
import { createTransport } from './connections.ts'
import type { Transport, TransportCounts } from './connections.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-connections-'))
after(() => rmSync(dir, { recursive: true }))

const DAY = 86_400_000
const authority = makeCertificate({ subject: 'authority', purpose: 'ca' })
const foreign = makeCertificate({ subject: 'authority', purpose: 'ca' })
const make = (subject: string) =>
  makeCertificate({ subject, issuer: authority, purpose: 'server', names: ['localhost', '127.0.0.1'] })
const write = (name: string, text: string): string => {
  const path = join(dir, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}
const server1 = make('server 1')
write('cert.pem', server1.cert)
write('key.pem', server1.key)
write('ca.pem', authority.cert)
const files = { tlsCert: join(dir, 'cert.pem'), tlsKey: join(dir, 'key.pem') }

interface Running extends Disposable {
  transport: Transport
  port: number
  log: string[]
  /** Counts the connection of the last request as proven. */
  prove(): void
  /** Requests for /slow, which are never answered. */
  slow(): number
}

async function start(change: (config: ServerConfig) => void): Promise<Running> {
  const config = defaultConfig()
  change(config)
  const log: string[] = []
  const transport = createTransport(config, createLog({ json: true, stream: { write: line => log.push(line) } }))
  let last: Socket | undefined
  let slow = 0
  const server: Server = transport.options.serverFactory((request: IncomingMessage, response) => {
    last = request.socket
    if (request.url === '/slow') slow++
    else response.end(JSON.stringify({ fingerprint: clientCertificate(request.socket)?.fingerprint ?? null }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    transport,
    port: (server.address() as AddressInfo).port,
    log,
    prove: () => transport.proved(last!),
    slow: () => slow,
    [Symbol.dispose]: () => {
      transport.close()
      server.closeAllConnections()
      server.close()
    }
  }
}

/** Shakes hands, asks once, gives the answer; rejects where either is refused. */
async function ask(
  port: number,
  options: ConnectionOptions = {}
): Promise<{ protocol: string; alpn: string | false; subject: string; fingerprint: string | null }> {
  const socket = tlsConnect({ port, host: '127.0.0.1', ca: authority.cert, ...options })
  const chunks: Buffer[] = []
  let facts = { protocol: '', alpn: '' as string | false, subject: '' }
  await new Promise<void>((resolve, reject) => {
    socket
      .on('error', reject)
      .on('data', (c: Buffer) => void chunks.push(c))
      .on('close', () => resolve())
    socket.on('secureConnect', () => {
      facts = {
        protocol: socket.getProtocol() ?? '',
        alpn: socket.alpnProtocol ?? false,
        subject: socket.getPeerX509Certificate()!.subject
      }
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    })
  })
  const text = Buffer.concat(chunks).toString()
  if (text === '') throw new Error('closed without an answer')
  return {
    ...facts,
    ...(JSON.parse(text.slice(text.indexOf('{'), text.indexOf('}') + 1)) as { fingerprint: string | null })
  }
}

test('TLS 1.2 and 1.3 are accepted; TLS 1.1, HTTP/2 and plain text are not', async () => {
  using running = await start(c => Object.assign(c.listen, files))
  const { port, transport } = running
  assert.deepEqual([transport.scheme, transport.hsts], ['https', 'max-age=31536000'])
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    assert.equal((await ask(port, { minVersion: version, maxVersion: version })).protocol, version)
  assert.equal((await ask(port)).protocol, 'TLSv1.3')
  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    await assert.rejects(
      ask(port, { minVersion: version, maxVersion: version, ciphers: 'DEFAULT:@SECLEVEL=0' }),
      /protocol version/i
    )
  }
  await assert.rejects(
    ask(port, { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA:ECDHE-ECDSA-AES128-SHA' }),
    /handshake failure/i
  )
  assert.equal((await ask(port, { ALPNProtocols: ['h2', 'http/1.1'] })).alpn, 'http/1.1')
  await assert.rejects(ask(port, { ALPNProtocols: ['h2'] }), /no application protocol/i)
  const plain = connect(port, '127.0.0.1')
  plain.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const text = Buffer.concat(await Array.fromAsync(plain as AsyncIterable<Buffer>))
  assert.doesNotMatch(text.toString('latin1'), /HTTP/)
  assert.equal(transport.counts.handshakesFailed, 5)
})

test(
  'client certificates: a good one is told by its fingerprint; foreign, expired, for servers, without its key: ' +
    'refused; none only where one is required',
  async () => {
    const client = makeCertificate({ subject: 'client', issuer: authority, purpose: 'client' })
    const { cert, key } = client
    const bad = {
      foreign: makeCertificate({ subject: 'client', issuer: foreign, purpose: 'client' }),
      itsOwnIssuer: makeCertificate({ subject: 'client', purpose: 'client' }),
      expired: makeCertificate({
        subject: 'client',
        issuer: authority,
        purpose: 'client',
        to: new Date(Date.now() - 1000)
      }),
      notYet: makeCertificate({
        subject: 'client',
        issuer: authority,
        purpose: 'client',
        from: new Date(Date.now() + DAY)
      }),
      forServers: make('a server'),
      underAClient: makeCertificate({ subject: 'client', issuer: client, purpose: 'client' })
    }
    for (const required of [false, true]) {
      using running = await start(c =>
        Object.assign(c.listen, files, { tlsClientCa: join(dir, 'ca.pem'), tlsClientRequired: required })
      )
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        assert.equal((await ask(running.port, { cert, key, maxVersion })).fingerprint, client.fingerprint)
        for (const [name, { cert, key }] of Object.entries(bad))
          await assert.rejects(ask(running.port, { cert, key, maxVersion }), () => true, `${name} ${maxVersion}`)
        if (required) await assert.rejects(ask(running.port, { maxVersion }))
        else assert.equal((await ask(running.port, { maxVersion })).fingerprint, null)
      }
      assert.equal((await ask(running.port, { cert, key })).fingerprint, client.fingerprint)
      while (running.transport.counts.open > 0) await new Promise(resolve => void setImmediate(resolve))
    }
  }
)

test('a session cannot be resumed where client certificates are required', async () => {
  using running = await start(c =>
    Object.assign(c.listen, files, { tlsClientCa: join(dir, 'ca.pem'), tlsClientRequired: true })
  )
  const client = makeCertificate({ subject: 'client', issuer: authority, purpose: 'client' })
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const sessions: Buffer[] = []
    const socket = tlsConnect({
      port: running.port,
      host: '127.0.0.1',
      ca: authority.cert,
      cert: client.cert,
      key: client.key,
      maxVersion
    })
    socket.on('session', s => void sessions.push(s))
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    await once(socket.resume(), 'close')
    const session = sessions[0] ?? socket.getSession()
    await assert.rejects(ask(running.port, { maxVersion, ...(session !== undefined && { session }) }))
  }
})

test(
  'new certificates are used at once for new connections, open ones go on; a pair that is not good is not ' +
    'used, and the log says so',
  async () => {
    const paths = { tlsCert: write('live.pem', server1.cert), tlsKey: write('live-key.pem', server1.key) }
    using running = await start(c => Object.assign(c.listen, paths))
    const { port, log } = running
    const look = () => process.emit('SIGHUP')
    const open = tlsConnect({ port, host: '127.0.0.1', ca: authority.cert })
    await once(open, 'secureConnect')
    assert.match((await ask(port)).subject, /server 1/)

    const server2 = make('server 2')
    write('live.pem', server2.cert) // the key has not followed yet
    look()
    assert.match((await ask(port)).subject, /server 1/)
    assert.match(log.at(-1)!, /is not the key of the certificate.*the new certificate cannot be used/)
    const lines = log.length
    look()
    assert.equal(log.length, lines, 'the same files are not read again')
    write('live-key.pem', server2.key)
    look()
    assert.match((await ask(port)).subject, /server 2/)
    assert.match(log.at(-1)!, /the certificate was replaced/)

    const expired = makeCertificate({
      subject: 'expired',
      issuer: authority,
      purpose: 'server',
      to: new Date(Date.now() - 1000)
    })
    write('live-key.pem', expired.key)
    write('live.pem', expired.cert)
    look()
    assert.match(log.at(-1)!, /expired on/)
    rmSync(paths.tlsCert)
    look()
    assert.match(log.at(-1)!, /There is no file/)
    assert.match((await ask(port)).subject, /server 2/)

    const soon = makeCertificate({
      subject: 'soon',
      issuer: authority,
      purpose: 'server',
      names: ['localhost', '127.0.0.1'],
      to: new Date(Date.now() + 13 * DAY)
    })
    write('live-key.pem', soon.key)
    write('live.pem', soon.cert)
    look()
    assert.match((await ask(port)).subject, /soon/)
    assert.match(log.at(-1)!, /expires soon/)

    open.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    assert.match(Buffer.concat(await Array.fromAsync(open as AsyncIterable<Buffer>)).toString(), /^HTTP\/1.1 200/)
  }
)

/** `once` would reject where the server's end comes as a reset. */
const closed = (socket: Socket): Promise<void> => new Promise(resolve => void socket.once('close', () => resolve()))

interface Connected {
  readonly gone: boolean
  readonly ended: Promise<void>
  /** Asks once more; false where the connection ends with or without an answer. */
  ask(): Promise<boolean>
}

/** Opens a connection and asks once on it. */
async function connected(port: number, localAddress: string): Promise<Connected> {
  const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined)
  const ended = closed(socket)
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => void (text += chunk))
  const ask = async (): Promise<boolean> => {
    text = ''
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    while (!text.includes('}')) {
      const more = new Promise<boolean>(resolve => void socket.once('data', () => resolve(true)))
      if (!(await Promise.race([more, ended.then(() => false)]))) return false
    }
    if (/connection: close/i.test(text)) await ended
    return !/connection: close/i.test(text)
  }
  await ask()
  return {
    get gone() {
      return socket.destroyed
    },
    ended,
    ask
  }
}

const figures = ({ open, proven, refused, ended }: TransportCounts): object => ({ open, proven, refused, ended })

test(
  'at the limit of an address the oldest unauthenticated connection makes room for the newest; all of loopback ' +
    'is one address',
  async () => {
    using running = await start(c => Object.assign(c.http, { connections: 100, connectionsPerAddress: 4 }))
    const {
      port,
      transport: { counts }
    } = running
    const all: Connected[] = []
    for (let i = 1; i <= 3; i++) all.push(await connected(port, `127.0.0.${i}`))
    assert.ok(all.every(c => !c.gone))
    all.push(await connected(port, '127.0.0.4'))
    await all[0]!.ended
    assert.deepEqual(figures(counts), { open: 3, proven: 0, refused: 0, ended: 1 })
    assert.ok(all.slice(1).every(c => !c.gone))
  }
)

test('an authenticated connection stays, however many unauthenticated ones come', async () => {
  using running = await start(c => Object.assign(c.http, { connections: 8, connectionsPerAddress: 8 }))
  const { port, transport } = running
  const known = await connected(port, '127.0.0.1')
  running.prove()
  const others: Connected[] = []
  for (let i = 0; i < 40; i++) others.push(await connected(port, `127.0.0.${2 + (i % 9)}`))
  while (transport.counts.ended < 34) await new Promise(resolve => void setImmediate(resolve))
  assert.ok(!known.gone)
  assert.ok(await known.ask())
  assert.deepEqual(figures(transport.counts), { open: 7, proven: 1, refused: 0, ended: 34 })
})

test('connections that are being answered are not ended: then the newest is refused', async () => {
  using running = await start(c => Object.assign(c.http, { connections: 4, connectionsPerAddress: 4 }))
  const {
    port,
    transport: { counts }
  } = running
  const waiting = Array.from({ length: 3 }, () => connect(port, '127.0.0.1').on('error', () => undefined))
  for (const socket of waiting) socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n')
  while (running.slow() < 3) await new Promise(resolve => void setImmediate(resolve))
  const refused = connect(port, '127.0.0.1').on('error', () => undefined)
  refused.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await closed(refused)
  assert.deepEqual(figures(counts), { open: 3, proven: 0, refused: 1, ended: 0 })
  waiting[0]!.destroy()
  while (counts.open > 2) await new Promise(resolve => void setImmediate(resolve))
  assert.ok(!(await connected(port, '127.0.0.1')).gone)
})

test(
  'whoever holds connections before any request exists is ended like others: silent ones, half of the headers, ' +
    'half of a TLS handshake, silence after one',
  async () => {
    for (const tls of [false, true]) {
      using running = await start(c => {
        Object.assign(c.http, { connections: 16, connectionsPerAddress: 16 })
        if (tls) Object.assign(c.listen, files)
      })
      const {
        port,
        transport: { counts }
      } = running
      const held = Array.from({ length: 60 }, (_, i) => {
        const socket = connect({ port, host: '127.0.0.1', localAddress: `127.0.0.${1 + (i % 16)}` }).on(
          'error',
          () => undefined
        )
        if (tls && i % 3 === 2)
          // and then silent
          tlsConnect({ socket, ca: authority.cert, servername: 'localhost' }).on('error', () => undefined)
        if (i % 3 === 1) socket.write(tls ? Buffer.from([22, 3, 1, 2, 0, 1]) : 'GET / HTTP/1.1\r\nHost: loc')
        return socket
      })
      while (counts.ended < 48) await new Promise(resolve => void setImmediate(resolve))
      assert.equal(counts.open, 12)
      if (tls) assert.equal((await ask(port)).protocol, 'TLSv1.3')
      else assert.ok(await (await connected(port, '127.0.0.1')).ask())
      for (const socket of held) socket.destroy()
    }
  }
)

test('a declared proxy is exempt from the limit of an address, not from that of all', async () => {
  using running = await start(c => {
    Object.assign(c.http, { connections: 4, connectionsPerAddress: 1 })
    c.listen.trustedProxies = ['127.0.0.0/30']
  })
  const all: Connected[] = []
  for (let i = 0; i < 4; i++) all.push(await connected(running.port, '127.0.0.2'))
  await all[0]!.ended
  assert.deepEqual(
    all.map(c => c.gone),
    [true, false, false, false]
  )
})

test('an unauthenticated connection ends with its hundredth answer, an authenticated one goes on', async () => {
  using running = await start(() => undefined)
  const { port } = running
  const stranger = await connected(port, '127.0.0.1')
  let answers = 1
  while (await stranger.ask()) answers++
  assert.equal(answers + 1, 100)
  const known = await connected(port, '127.0.0.1')
  running.prove()
  for (let i = 0; i < 150; i++) assert.ok(await known.ask(), `after ${i}`)
})

test('TLS session tickets are accepted until their key is replaced, in TLS 1.2 and 1.3', async () => {
  using running = await start(c => Object.assign(c.listen, files))
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const resumes = async (session: Buffer | undefined): Promise<{ reused: boolean; ticket: Buffer }> => {
      const socket = tlsConnect({
        port: running.port,
        host: '127.0.0.1',
        ca: authority.cert,
        maxVersion,
        ...(session !== undefined && { session })
      })
      const tickets: Buffer[] = []
      socket.on('session', ticket => void tickets.push(ticket))
      await once(socket, 'secureConnect')
      const reused = socket.isSessionReused()
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      await once(socket.resume(), 'close')
      return { reused, ticket: tickets[0]! }
    }
    const first = await resumes(undefined)
    const second = await resumes(first.ticket)
    assert.deepEqual([first.reused, second.reused], [false, true], maxVersion)
    running.transport.rotateTicketKeys()
    const third = await resumes(second.ticket)
    assert.equal(third.reused, false, maxVersion)
    assert.equal((await resumes(third.ticket)).reused, true, `${maxVersion}, with a ticket of the new key`)
  }
})

test('a connection that never shakes hands does not hold up the end of the server', async () => {
  const config = defaultConfig()
  Object.assign(config.listen, files)
  const transport = createTransport(config, createLog({ stream: { write: () => undefined } }))
  const server = transport.options.serverFactory(() => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const silent = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
  await once(server, 'connection')
  server.close()
  server.closeIdleConnections()
  await Promise.all([once(server, 'close'), once(silent, 'close')])
  transport.close()
})

test(
  'who sends nothing, half of the headers or, after a request, nothing more is not waited for beyond the ' +
    'configured time',
  async () => {
    using running = await start(c => Object.assign(c.http, { headerSeconds: 1, requestSeconds: 1, idleSeconds: 1 }))
    const until = async (text: string): Promise<string> => {
      const socket = connect(running.port, '127.0.0.1')
      if (text !== '') socket.write(text)
      return Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString()
    }
    const answers = await Promise.all([
      until(''),
      until('GET / HTTP/1.1\r\nHost: x\r\nX: '),
      until('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT'),
      until('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    ])
    for (const [i, pattern] of [
      /^HTTP\/1.1 408 /,
      /^HTTP\/1.1 408 /,
      /^HTTP\/1.1 200 /,
      /^HTTP\/1.1 200 (?![^]*408)/
    ].entries())
      assert.match(answers[i]!, pattern)
    while (running.transport.counts.open > 0) await new Promise(resolve => void setImmediate(resolve))
  }
)

test('pipelined requests are answered in order up to a limit; beyond it the connection is closed', async () => {
  using running = await start(() => undefined)
  const send = async (n: number): Promise<number> => {
    const socket = connect(running.port, '127.0.0.1').on('error', () => undefined)
    socket.write(
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(n - 1) + 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    )
    const chunks: Buffer[] = []
    socket.on('data', (c: Buffer) => void chunks.push(c))
    await closed(socket)
    return Buffer.concat(chunks).toString().split('HTTP/1.1 200').length - 1
  }
  assert.equal(await send(64), 64)
  assert.ok((await send(100_000)) < 100_000)
  assert.equal(running.transport.counts.refused, 1)
  while (running.transport.counts.open > 0) await new Promise(resolve => void setImmediate(resolve))
})

/**
 * HTTP as clients really send it: what RFC 9110 and RFC 9112 make a server accept or let it ignore is accepted or
 * ignored. Where Verit is stricter, it is so on purpose, and docs/evidence/threat-model.md says what that protects: the
 * rows of its table are those of the second list here.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { routeTable } from '../src/server/routes.ts'
import { testGateway } from './gateway-context.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-standards-'))
const gateway = await testGateway(join(dir, 'state'), config => {
  config.keys.requestsPerMinute = 0
  config.addresses.requestsPerMinute = 0
  config.listen.allowHosts = ['models.internal']
})
const scopes = ['infer', 'models', 'admin', 'metrics', 'audit'] as const
const { key, record } = await gateway.context.store.keys.create({ name: 'all', scopes: [...scopes] }, 'cli')
/** A key that routes may revoke. */
const spare = (await gateway.context.store.keys.create({ name: 'spare' }, 'cli')).record.id
let port = 0
before(async () => {
  await gateway.app.listen({ host: '127.0.0.1', port: 0 })
  port = (gateway.app.server.address() as AddressInfo).port
})
after(async () => {
  await gateway.close()
  rmSync(dir, { recursive: true })
})

/** Sends bytes and gives what comes back until the server ends the connection. */
async function raw(text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => void chunks.push(chunk))
  const closed = new Promise(resolve => void socket.once('close', resolve))
  socket.write(Buffer.from(text, 'latin1'))
  await closed
  return Buffer.concat(chunks).toString('latin1')
}
const statuses = (text: string): number[] => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(m => Number(m[1]))

const BODY = '{"prompt":"x"}'
/** A request with a valid key, one of its lines replaced, or some added before the empty line. */
const get = (...lines: string[]): string =>
  [
    'GET /v1/models HTTP/1.1',
    'Host: localhost',
    `Authorization: Bearer ${key}`,
    ...lines,
    'Connection: close',
    '',
    ''
  ].join('\r\n')
const post = (...lines: string[]): string =>
  [
    'POST /v1/completions HTTP/1.1',
    'Host: localhost',
    `Authorization: Bearer ${key}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${BODY.length}`,
    ...lines,
    '',
    BODY
  ].join('\r\n')
/** No model is loaded: 503 says that the request was accepted. */
const ACCEPTED = 503

/** What it is, where it stands, the request, and its answer. */
const accepted: readonly (readonly [string, string, string, number])[] = [
  [
    'an upgrade to h2c',
    '9110 7.8',
    get('Upgrade: h2c', 'HTTP2-Settings: AAEAAEAAAAIAAAAB').replace('close', 'close, Upgrade, HTTP2-Settings'),
    200
  ],
  [
    'an upgrade to h2c with a body',
    '9110 7.8',
    post('Upgrade: h2c', 'HTTP2-Settings: AAEAAEAAAAIAAAAB').replace('close', 'Upgrade, HTTP2-Settings'),
    ACCEPTED
  ],
  [
    'an upgrade to a websocket',
    '9110 7.8',
    get('Upgrade: websocket', 'Sec-WebSocket-Key: x').replace('close', 'Upgrade'),
    200
  ],
  ['HEAD', '9110 9.1', get().replace('GET', 'HEAD'), 200],
  ['a target in absolute form', '9112 3.2.2', get().replace('/v1/models', 'http://localhost/v1/models'), 200],
  [
    'a target in absolute form, its scheme in capitals',
    '9112 3.2.2',
    get().replace('/v1/models', 'HTTP://LOCALHOST/v1/models'),
    200
  ],
  ['HTTP/1.0 without Host', '9112 3.2', get().replace('HTTP/1.1', 'HTTP/1.0').replace('Host: localhost\r\n', ''), 200],
  ['HTTP/1.0 with an empty Host', '9112 3.2', get().replace('HTTP/1.1', 'HTTP/1.0').replace('localhost', ''), 200],
  ['an expectation over HTTP/1.0', '9110 10.1.1', get('Expect: 100-continue').replace('HTTP/1.1', 'HTTP/1.0'), 200],
  ['an expectation without a body', '9110 10.1.1', get('Expect: 100-continue'), 200],
  ['a port that is empty', '9110 4.2.3', get().replace('localhost', 'localhost:'), 200],
  [
    'names of headers in any case',
    '9110 5.1',
    get().replace('Host', 'hOST').replace('Authorization', 'AUTHORIZATION'),
    200
  ],
  ['spaces around values', '9112 5', get().replace('Host: localhost', 'Host: \t localhost \t '), 200],
  ['an empty line before the request', '9112 2.2', `\r\n${get()}`, 200],
  ['empty elements of a list', '9110 5.6.1.2', get().replace('close', ', close,,'), 200],
  ['Connection twice', '9110 5.3', get('Connection: keep-alive'), 200],
  ['a connection option nobody knows', '9110 7.6.1', get('X-Hop: y').replace('close', 'close, X-Hop'), 200],
  [
    'lists of proxies in several lines',
    '9110 5.3',
    get('X-Forwarded-For: 192.0.2.1', 'X-Forwarded-For: 192.0.2.2', 'Via: 1.1 a', 'Via: 1.1 b'),
    200
  ],
  ['TE', '9110 10.1.4', get('TE: trailers, deflate;q=0.5').replace('close', 'close, TE'), 200],
  [
    'an announced trailer',
    '9110 6.6.2',
    post('Trailer: X-Sum', 'Transfer-Encoding: chunked')
      .replace(`Content-Length: ${BODY.length}\r\n`, '')
      .replace(/\{.*/, `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\nX-Sum: 1\r\n\r\n`),
    ACCEPTED
  ],
  ['conditions', '9110 13', get('If-None-Match: "x"', 'If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT'), 200],
  ['a range', '9110 14.2', get('Range: bytes=0-1'), 200],
  [
    'what is accepted',
    '9110 12.5',
    get('Accept: text/html;q=0.9, */*;q=0.1', 'Accept-Encoding: gzip, br, identity;q=0', 'Accept-Language: de'),
    200
  ],
  ['the scheme of credentials in any case', '9110 11.1', get().replace('Bearer', 'bEARER'), 200],
  ['spaces behind the scheme of credentials', '9110 11.4', get().replace('Bearer ', 'Bearer   '), 200],
  [
    'headers that nobody knows, and cookies',
    '9110 5.1',
    get('Cookie: a=b', 'Forwarded: for=192.0.2.1', 'Max-Forwards: 1', 'X: \u00e9'),
    200
  ],
  [
    'a type without a body, on a route that takes none',
    '9110 8.3',
    post()
      .replace('/v1/completions', `/v1/admin/keys/${spare}/revoke`)
      .replace(/Content-Length: \d+/, 'Content-Length: 0')
      .replace(BODY, ''),
    200
  ],
  [
    'a type without a body or length',
    '9110 8.3',
    post()
      .replace('/v1/completions', `/v1/admin/keys/${spare}/revoke`)
      .replace(/Content-Length: \d+\r\n/, '')
      .replace(BODY, ''),
    200
  ],
  ...[
    'application/json;charset=UTF-8',
    'Application/JSON; Charset="utf-8"',
    'application/json ; profile="a;b"',
    'application/json;'
  ].map(type => [`the type ${type}`, '9110 8.3.1', post().replace('application/json', type), ACCEPTED] as const)
]

test('what the standards make a server accept, or let it ignore, is accepted or ignored', async () => {
  for (const [what, where, text, status] of accepted) {
    const answer = await raw(text)
    assert.deepEqual(
      statuses(answer),
      [status],
      `${what} (RFC ${where}): ${answer.slice(0, 60)} ${/"message":"[^"]*/.exec(answer)?.[0]}`
    )
  }
})

test('HEAD is answered like GET on every route: the same status and length, without the body', async () => {
  for (const { path, requires } of routeTable.filter(r => r.method === 'GET')) {
    const at = path.replace(':id', path.startsWith('/v1/admin') ? record.id : 'none')
    const [whole, head] = await Promise.all(
      ['GET', 'HEAD'].map(method => raw(get().replace('GET /v1/models', `${method} ${at}`)))
    )
    assert.deepEqual(statuses(head!), statuses(whole!), path)
    const length = (text: string): number => Number(/^content-length: (\d+)/im.exec(text)?.[1])
    const body = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)
    assert.equal(body(head!), '', path)
    // each scrape changes the figures
    if (path !== '/metrics' && requires !== 'admin')
      assert.deepEqual([length(head!), body(whole!).length], [length(whole!), length(whole!)], path)
  }
})

test('a health check needs no key, Host or GET, and leaves no audit entry and no log line', async () => {
  const [entries, lines] = [gateway.audit.size, gateway.lines.length]
  for (const [first, ...headers] of [
    ['GET /health HTTP/1.0'],
    ['HEAD /health HTTP/1.1', 'Host: 10.1.2.3:8081', 'Connection: close'],
    ['GET /health HTTP/1.1', 'Host: models.example', 'Connection: close'],
    ['GET http://10.1.2.3/health HTTP/1.1', 'Host: 10.1.2.3', 'Connection: close'],
    ['GET /health HTTP/1.1', 'Connection: close'],
    ['GET /health?x=1 HTTP/1.1', 'Connection: close'],
    ['HEAD /health?t=1&t=/%zz?? HTTP/1.1', 'Connection: close'],
    ['GET /health? HTTP/1.1', 'Authorization: Bearer x', 'Connection: close']
  ])
    assert.deepEqual(statuses(await raw([first, ...headers, '', ''].join('\r\n'))), [503], first)
  assert.deepEqual(
    statuses(
      await raw('GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n')
    ),
    [403]
  )
  assert.deepEqual([gateway.audit.size, gateway.lines.length], [entries, lines])
  const long = `GET /health?${'x'.repeat(3000)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
  assert.deepEqual(statuses(await raw(long)), [400])
  assert.deepEqual(
    statuses(await raw('POST /health?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')),
    [400]
  )
})

/** What it is, as docs/evidence/threat-model.md calls it, requests, and the status of each. */
const strict: readonly (readonly [string, readonly string[], number])[] = [
  [
    'a body with an ambiguous length',
    [post('Transfer-Encoding: chunked'), post(`Content-Length: ${BODY.length}`)],
    400
  ],
  ['lines that end with LF alone, folded lines', [get().replaceAll('\r\n', '\n'), get('X: a', ' b')], 400],
  [
    'a repeated header that must be single',
    [get('Authorization: Bearer x'), get('Content-Digest: a', 'Content-Digest: a')],
    400
  ],
  ['Connection that names an end-to-end header', [get().replace('close', 'close, Authorization')], 400],
  [
    '`X-HTTP-Method-Override`, `X-Original-URL` and their like',
    [get('X-HTTP-Method-Override: POST'), get('X-Original-URL: /x')],
    400
  ],
  ['headers named `__proto__`, `constructor`, `prototype`', [get('__proto__: x')], 400],
  [
    'a target in absolute form that differs from Host',
    [get().replace('/v1/models', 'http://evil.example/v1/models')],
    400
  ],
  ['a query', [get().replace('/v1/models', '/v1/models?x')], 400],
  [
    'another spelling of a path',
    [get().replace('/v1/models', '/v1/%6dodels'), get().replace('/v1/models', '/v1/models/')],
    404
  ],
  ['a Host that does not name the server', [get().replace('localhost', 'evil.example')], 403],
  ['an Origin that is not listed', [get('Origin: https://evil.example')], 403],
  ['an expectation other than 100-continue', [post('Expect: 100-continue, x')], 417],
  ['a body where none belongs', [get('Content-Length: 1')], 400],
  ['Content-Encoding, even `identity`', [post('Content-Encoding: identity')], 415],
  [
    'OPTIONS that is not a preflight',
    [get().replace('GET', 'OPTIONS'), get().replace('GET /v1/models', 'OPTIONS *')],
    405
  ]
]

test(
  'where Verit is stricter than the standards, it refuses, and the threat model says what that ' + 'protects',
  async () => {
    for (const [what, texts, status] of strict) {
      for (const text of texts) assert.deepEqual(statuses(await raw(text)), [status], `${what}: ${text.slice(0, 80)}`)
    }
    const page = readFileSync(new URL('../docs/evidence/threat-model.md', import.meta.url), 'utf8')
    const rows = /### Stricter than the standards[^]*?\n\|---.*\n([^]*?)\n\n/
      .exec(page)![1]!
      .split('\n')
      .map(row => row.split('|')[1]!.trim())
    assert.deepEqual(
      rows,
      strict.map(([what]) => what)
    )
  }
)

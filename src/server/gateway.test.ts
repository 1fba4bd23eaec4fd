/** The gateway before its model is loaded, over a real key store: who gets in, and how each refusal looks. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { testGateway } from '../../test/gateway-context.ts'
import { createTransport } from './connections.ts'
import { buildGateway } from './gateway.ts'
import { newKey } from '../store/key-format.ts'
import { methodsOf } from './route.ts'
import { routeTable } from './routes.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-gateway-'))
const gateway = await testGateway(join(dir, 'state'), config => {
  config.listen.allowOrigins = ['https://app.example']
  config.keys.requestsPerMinute = 0
  config.addresses.requestsPerMinute = 0
  config.addresses.failuresPerMinute = 10_000
  config.addresses.allFailuresPerMinute = 10_000
})
const { app, lines } = gateway
const { keys } = gateway.context.store
const made = await keys.create({ name: 'test' }, 'cli')
const { record } = made
const key = made.key!
let base = ''
before(async () => {
  await app.listen({ host: '127.0.0.1', port: 0 })
  base = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
})
after(async () => {
  await gateway.close()
  rmSync(dir, { recursive: true })
})

const auth = { authorization: `Bearer ${key}` }
const json = { ...auth, 'content-type': 'application/json' }
const call = async (
  path: string,
  init: RequestInit = {}
): Promise<{
  status: number
  code: string | undefined
  headers: Headers
  body: { error?: { code: string; message: string; type: string } }
}> => {
  const response = await fetch(base + path, init)
  const body = (await response.json()) as { error?: { code: string; message: string; type: string } }
  return { status: response.status, code: body.error?.code, headers: response.headers, body }
}
/** Sends bytes as they are and gives all that comes back. */
const raw = async (text: string): Promise<string> => {
  const socket = connect(Number(new URL(base).port), '127.0.0.1')
  socket.write(text)
  const chunks = await Array.fromAsync(socket as AsyncIterable<Buffer>)
  return Buffer.concat(chunks).toString()
}

test('the router holds the routes of the table and no other, and refuses to take another', () => {
  const routes = app.printRoutes({ commonPrefix: false, method: undefined as never }).match(/\/\S+ \([A-Z, ]+\)/g) ?? []
  const methods = routes.flatMap(r => r.slice(r.indexOf('(') + 1, -1).split(', '))
  const rows = routeTable.filter(r => r.requires !== 'nothing')
  assert.equal(methods.length, rows.flatMap(methodsOf).length, app.printRoutes({ commonPrefix: false }))
  for (const row of rows)
    for (const method of methodsOf(row)) assert.ok(app.hasRoute({ method: method as 'GET', url: row.path }), row.path)
  assert.throws(
    () =>
      buildGateway(gateway.context, createTransport(gateway.context.config, gateway.context.log)).get(
        '/debug',
        () => 'x'
      ),
    /not in the route table/
  )
})

test(
  'every route but /health refuses a request without a valid key, in one and the same way, whatever the method ' +
    'or body',
  async () => {
    assert.deepEqual(
      routeTable.filter(r => r.requires === 'nothing').map(r => r.path),
      ['/health', '/.well-known/security.txt']
    )
    const {
      key: gone,
      record: { id }
    } = await keys.create({ name: 'gone' }, 'cli')
    await keys.revoke(id, 'cli')
    const bad: (string | undefined)[] = [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      key,
      `Bearer${key}`,
      `Bearer\t${key}`,
      `Bearer Bearer ${key}`,
      `Bearer ${key},`,
      `Bearer ${key}, Bearer ${key}`,
      `Bearer ${key.toUpperCase()}`,
      `Bearer ${key.toLowerCase()}`,
      `Bearer ${key.slice(0, -1)}`,
      `Bearer ${key}x`,
      `Basic ${btoa(`${key}:`)}`,
      `Token ${key}`,
      `Bearer ${newKey()}`,
      `Bearer ${gone}`,
      `Bearer ${record.id}`,
      "Bearer ' OR 1=1 --"
    ]
    for (const route of routeTable.filter(r => r.requires !== 'nothing')) {
      const answers = new Set<string>()
      for (const authorization of bad) {
        for (const method of new Set([route.method, 'GET', 'POST', 'DELETE'])) {
          const init = {
            method,
            headers: authorization === undefined ? {} : { authorization },
            ...(method === 'POST' && { body: '{' })
          }
          const r = await call(route.path.replace(':id', record.id), init)
          assert.equal(r.status, 401, `${method} ${route.path} ${authorization}`)
          assert.equal(r.headers.get('www-authenticate'), 'Bearer realm="verit"')
          if (authorization !== undefined && authorization !== '') answers.add(r.body.error!.message)
        }
      }
      assert.equal(answers.size, 1)
    }
    for (const path of ['/', '/metrics', '/health/', '/v1/models/', '/V1/models', '/v1//models', '/docs', '/health;x'])
      assert.equal((await call(path)).status, 401, path)
    assert.equal((await call('/v1/models', { headers: { 'x-api-key': key } })).status, 401)
  }
)

test('the scheme of Authorization may be in any case, followed by spaces (RFC 9110 section 11.4)', async () => {
  for (const authorization of [`bearer ${key}`, `BEARER ${key}`, `bEaReR   ${key}`]) {
    assert.equal((await call('/v1/models', { headers: { authorization } })).status, 200, authorization.slice(0, 10))
  }
})

test('a valid key gets through to a server that is still loading', async () => {
  assert.deepEqual((await call('/v1/models', { headers: auth })).body, { object: 'list', data: [] })
  const r = await call('/v1/completions', { method: 'POST', headers: json, body: '{"prompt":"x"}' })
  assert.deepEqual([r.status, r.code, r.headers.get('retry-after')], [503, 'VERIT_LOADING', '2'])
  const health = await call('/health')
  assert.deepEqual([health.status, health.body], [503, { status: 'loading' }])
})

test('a key without the scope of a route is told so', async () => {
  const { key: narrow } = await keys.create({ name: 'narrow', scopes: ['models'] }, 'cli')
  const r = await call('/v1/completions', {
    method: 'POST',
    headers: { ...json, authorization: `Bearer ${narrow}` },
    body: '{"prompt":"x"}'
  })
  assert.deepEqual([r.status, r.code], [403, 'VERIT_FORBIDDEN'])
  assert.equal((await call('/v1/models', { headers: { authorization: `Bearer ${narrow}` } })).status, 200)
})

test('with a key, unknown addresses are 404 in any spelling, and wrong methods 405', async () => {
  for (const path of [
    '/',
    '/nothing',
    '/v1/models/',
    '/v1/%6dodels',
    '/v1//models',
    '/v1/models;x',
    '/V1/MODELS',
    '/v1/./models/../x'
  ]) {
    assert.equal((await call(path, { headers: auth })).code, 'VERIT_NOT_FOUND', path)
  }
  const r = await call('/v1/models', { method: 'DELETE', headers: auth })
  assert.deepEqual([r.status, r.code, r.headers.get('allow')], [405, 'VERIT_METHOD', 'GET, HEAD'])
  assert.equal((await fetch(`${base}/v1/completions`, { method: 'HEAD', headers: auth })).status, 405)
})

test('bodies are read only as uncompressed UTF-8 JSON of at most 1 MiB', async () => {
  const post = (headers: Record<string, string>, body: string | Uint8Array<ArrayBuffer>) =>
    call('/v1/completions', { method: 'POST', headers: { ...auth, ...headers }, body })
  assert.equal((await post({}, '{}')).status, 415)
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json-seq',
    'application/json; charset=latin1',
    'multipart/form-data'
  ]) {
    assert.equal((await post({ 'content-type': type }, '{"prompt":"x"}')).status, 415, type)
  }
  assert.equal((await post({ 'content-type': 'application/json; charset=utf-8' }, '{"prompt":"x"}')).status, 503)
  assert.equal(
    (await post({ 'content-type': 'application/json', 'content-encoding': 'gzip' }, '{"prompt":"x"}')).status,
    415
  )
  for (const body of ['{', '[]', '{"prompt":1,"prompt":2}', '{"__proto__":{}}', '['.repeat(100_000), ''])
    assert.equal((await post(json, body)).status, 400, body.slice(0, 40))
  const padded = (bytes: number): string => `{"prompt":"x"${' '.repeat(bytes - 14)}}`
  assert.equal((await post(json, padded(1 << 20))).status, 503)
  assert.equal((await post(json, padded((1 << 20) + 1))).status, 413)
  assert.equal((await call('/v1/models', { method: 'GET', headers: { ...auth, 'content-length': '0' } })).status, 200)
})

test('hosts, origins, queries and doubled headers are refused before the key is looked at', async () => {
  const get = (...lines: string[]) =>
    raw(`GET /v1/models HTTP/1.1\r\n${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`)
  assert.match(await get('Host: localhost', `Authorization: Bearer ${key}`), /^HTTP\/1.1 200 /)
  assert.match(await get('Host: evil.example', `Authorization: Bearer ${key}`), /^HTTP\/1.1 403 /)
  assert.match(
    await get('Host: localhost', 'Origin: https://evil.example', `Authorization: Bearer ${key}`),
    /^HTTP\/1.1 403 /
  )
  assert.match(await get('Host: localhost', 'Origin: null', `Authorization: Bearer ${key}`), /^HTTP\/1.1 403 /)
  assert.match(
    await get('Host: localhost', `Authorization: Bearer ${key}`, `Authorization: Bearer ${newKey()}`),
    /^HTTP\/1.1 400 /
  )
  assert.match(await get('Host: localhost', 'Host: localhost', `Authorization: Bearer ${key}`), /^HTTP\/1.1 400 /)
  assert.match(await get(`Authorization: Bearer ${key}`), /^HTTP\/1.1 400 /)
  assert.match(
    await raw(`GET /v1/models?api_key=${key} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`),
    /^HTTP\/1.1 400 /
  )
})

test('a listed origin gets the headers of CORS and its preflight, and no more than that', async () => {
  const origin = 'https://app.example'
  const r = await call('/v1/models', { headers: { ...auth, origin } })
  assert.deepEqual(
    [r.status, r.headers.get('access-control-allow-origin'), r.headers.get('access-control-allow-credentials')],
    [200, origin, null]
  )
  const preflight = await fetch(`${base}/v1/models`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'GET' }
  })
  assert.deepEqual([preflight.status, await preflight.text()], [204, ''])
  assert.equal((await call('/v1/models', { headers: { origin } })).status, 401)
  const health = await fetch(`${base}/health`, { headers: { origin } })
  assert.deepEqual(
    [health.headers.get('access-control-allow-origin'), health.headers.get('cross-origin-resource-policy')],
    [origin, 'cross-origin']
  )
  assert.equal(
    (
      await call('/v1/models', {
        method: 'OPTIONS',
        headers: { origin: 'https://evil.example', 'access-control-request-method': 'GET' }
      })
    ).status,
    403
  )
})

test('what the HTTP parser must refuse is refused, and the server goes on', async () => {
  const cases = [
    'GET / HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n',
    'GARBAGE\r\n\r\n',
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: ' +
      'chunked\r\n\r\n0\r\n\r\n',
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde',
    'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n',
    'GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\nb\r\n\r\n',
    'GET /%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    'TRACE /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    'GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
  ]
  for (const text of cases) assert.match(await raw(text), /^HTTP\/1.1 4\d\d /, text.slice(0, 60))
  assert.equal((await call('/health')).status, 503)
})

test(
  'an address that cannot be decoded is refused like any other: first for the key, with security headers and a ' +
    'line in the log',
  async () => {
    const before = lines.length
    for (const [headers, status] of [
      [{}, 401],
      [auth, 404]
    ] as const) {
      const r = await call('/v1/%zz', { headers })
      assert.deepEqual([r.status, r.headers.get('x-content-type-options')], [status, 'nosniff'])
    }
    assert.match(await raw('GET /%zz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 403 /)
    assert.equal(lines.length, before + 3)
  }
)

test(
  'nobody is told to go on with a body before the key has been looked at, and transfer codings other than ' +
    'chunked are refused',
  async () => {
    const post = (...more: string[]) =>
      raw(
        `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: ` +
          `close\r\n${more.join('\r\n')}\r\n\r\n`
      )
    assert.match(await post('Content-Length: 14', 'Expect: 100-continue'), /^HTTP\/1.1 401 /)
    const bearer = `Authorization: Bearer ${key}`
    assert.match(
      await post(bearer, 'Content-Length: 14', 'Expect: 100-continue', '', '{"prompt":"x"}'),
      /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 503 /
    )
    assert.match(await post(bearer, 'Content-Length: 14', 'Expect: else'), /^HTTP\/1.1 417 .*VERIT_EXPECTATION/s)
    assert.match(await post('Content-Length: 14', 'Expect: else'), /^HTTP\/1.1 417 .*VERIT_EXPECTATION/s)
    assert.match(await post(bearer, 'Transfer-Encoding: gzip, chunked', '', '0\r\n'), /^HTTP\/1.1 400 .*VERIT_HTTP/s)
  }
)

test('every answer, an error too, has the security headers, and a request id wherever the log has a line', async () => {
  for (const path of ['/health', '/v1/models', '/nothing']) {
    const { headers } = await call(path)
    assert.match(headers.get('x-request-id') ?? '', path === '/health' ? /^$/ : /^req_[0-9a-f]{24}$/)
    for (const [name, value] of [
      ['x-content-type-options', 'nosniff'],
      ['cache-control', 'no-store'],
      ['x-frame-options', 'DENY']
    ])
      assert.equal(headers.get(name!), value)
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/)
    assert.equal(headers.get('server'), null)
    assert.equal(headers.get('access-control-allow-origin'), null)
  }
})

test('a store that fails means 503 for everyone, never an open door; the log says why', async () => {
  const shut = await testGateway(join(dir, 'broken'))
  await shut.context.store.close()
  const response = await shut.app.inject({ url: '/v1/models', headers: { ...auth, host: 'localhost' } })
  assert.equal(response.statusCode, 503)
  assert.equal((response.json() as { error: { code: string } }).error.code, 'VERIT_UNAVAILABLE')
  assert.doesNotMatch(response.body, /broken|sqlite/)
  assert.equal((await shut.app.inject({ url: '/v1/models', headers: { host: 'localhost' } })).statusCode, 401)
  await shut.close()
  assert.match(shut.lines.join(''), /a request failed/)
})

test('an audit log that cannot be written means 503 for everyone', async () => {
  const shut = await testGateway(join(dir, 'unaudited'))
  const { key: other } = await shut.context.store.keys.create({ name: 'x' }, 'cli')
  const ask = () =>
    shut.app.inject({ url: '/v1/models', headers: { authorization: `Bearer ${other}`, host: 'localhost' } })
  assert.equal((await ask()).statusCode, 200)
  await shut.audit.close()
  const response = await ask()
  assert.deepEqual(
    [response.statusCode, (response.json() as { error: { code: string } }).error.code],
    [503, 'VERIT_UNAVAILABLE']
  )
  await shut.close()
})

test('the log names no key and no text of a client', async () => {
  await call('/v1/models', { headers: auth })
  await call('/secret-path-of-a-client', { headers: auth })
  const all = lines.join('')
  assert.ok(all.includes(record.id))
  for (const secret of [key, key.slice(6, 49), 'secret-path', 'OR 1=1']) assert.ok(!all.includes(secret), secret)
})

test('the log names ignored fields; metrics count them, those that a client made up under one label', async () => {
  const post = (fields: string) =>
    call('/v1/completions', { method: 'POST', headers: json, body: `{"prompt":"x",${fields}}` })
  assert.equal((await post('"cache_prompt":true,"user":"secret words"')).code, 'VERIT_LOADING')
  assert.equal((await post('"made_up":1')).code, 'VERIT_REQUEST')
  gateway.context.config.http.unknownFields = 'ignore'
  assert.equal((await post('"store":true,"made\\u202eup":"secret words"')).code, 'VERIT_LOADING')
  gateway.context.config.http.unknownFields = 'refuse'
  const ignored = lines.flatMap(line => (JSON.parse(line) as { ignored?: string[] }).ignored ?? [])
  assert.deepEqual(ignored, ['cache_prompt', 'user', 'store', 'made\\u{202e}up'])
  assert.ok(!lines.join('').includes('secret words'))
  const metrics = await gateway.context.metrics.text()
  for (const [name, n] of [
    ['cache_prompt', 1],
    ['user', 1],
    ['store', 1],
    ['other', 1]
  ]) {
    assert.match(metrics, new RegExp(`^verit_fields_ignored_total\\{field="${name}"\\} ${n}$`, 'm'))
  }
  assert.ok(!metrics.includes('made'))
})

test('nothing that the gateway imports can parse a model', () => {
  const seen = new Set<string>()
  const visit = (file: URL): void => {
    if (seen.has(file.href)) return
    seen.add(file.href)
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/^import (?!type ).*'(\.[^']+)'$/gm))
      visit(new URL(path!, file))
  }
  visit(new URL('../cli/serve.ts', import.meta.url))
  const folders = new Set([...seen].map(href => href.split('/').at(-2)!))
  const expected = ['audit', 'cli', 'exec', 'hub', 'lib', 'runner', 'sampler', 'server', 'store', 'trust', 'watch']
  assert.deepEqual([...folders].sort(), expected, 'of hub, what finds a file by its name')
  // What loads the native library, which protects the process.
  const computing = [...seen].filter(href => href.includes('/exec/')).map(href => href.split('/').at(-1)!)
  const loading = ['kernel-digests.ts', 'kernel-files.ts', 'native.ts', 'plan.ts', 'processors.ts']
  assert.deepEqual(computing.sort(), loading)
  // the table of sampling parameters, and nothing that computes
  const sampling = [...seen].filter(href => href.includes('/sampler/')).map(href => href.split('/').at(-1)!)
  assert.deepEqual(sampling, ['parameters.ts'])
  for (const name of ['main.ts', 'serve-engine.ts'])
    assert.ok(![...seen].some(href => href.endsWith(`/runner/${name}`)))
})

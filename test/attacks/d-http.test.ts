/**
 * Class D: attacks on HTTP itself, as bytes on a socket. In every case the connection gets at most the answers that its
 * requests are owed, none of them 2xx where a proxy could have read the bytes differently, and the server goes on.
 */
// long: it sends some 5,000 requests
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { METHODS } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as tlsConnect } from 'node:tls'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import type { AddressInfo } from 'node:net'
import { methodsOf } from '../../src/server/route.ts'
import { routeTable } from '../../src/server/routes.ts'
import { makeCertificate } from '../certificates.ts'
import { testGateway } from '../gateway-context.ts'
import { killServers } from '../served.ts'
import { Target, each, eventually } from './target.ts'
import type { Answer } from './target.ts'

let t: Target
before(async () => {
  t = await Target.start({}, 1 << 14)
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  await t.stop()
})
afterEach(() => t.survives())

const BODY = '{"prompt":"x","max_tokens":1}'
const TYPE = 'Content-Type: application/json'
/** What would be carried past a proxy: a request of its own, with a key. */
const smuggled = (): string => t.request('GET /v1/models')
const post = (headers: readonly string[], body: string, key?: string): string =>
  t.request('POST /v1/completions', [TYPE, ...headers], body, key)

/** At most one answer, a refusal, and the connection is ended: what came behind has not been read as a request. */
function refused(answer: Answer, what: string): void {
  assert.ok(answer.closed, `the connection is ended: ${what}`)
  assert.ok(answer.statuses.length <= 1, `one answer at most: ${what}: ${answer.statuses.join()}`)
  for (const status of answer.statuses) assert.ok(status >= 400 && status < 500, `${status}: ${what}`)
}

test(
  'D1 a request whose length can be read in two ways is refused, and what follows it on the connection is ' +
    'never run',
  async () => {
    const n = BODY.length
    const lengths = [
      [`Content-Length: ${n}`, 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked', `Content-Length: ${n}`],
      ['Transfer-Encoding: chunked', 'Content-Length: 0'],
      [`Content-Length: ${n}`, `Content-Length: ${n + 1}`],
      [`Content-Length: ${n}`, `Content-Length: ${n}`],
      [`Content-Length: ${n}, ${n}`],
      [`Content-Length: ${n},${n + 5}`],
      [`Content-Length: +${n}`],
      [`Content-Length: -${n}`],
      ['Content-Length: 0x1d'],
      [`Content-Length: ${n}.0`],
      ['Content-Length: 2.9e1'],
      [`Content-Length: ${n} ${n}`],
      [`Content-Length: ${n};`],
      [`Content-Length: "${n}"`],
      [`Content-Length: \x0b${n}`],
      ['Content-Length:'],
      ['Content-Length: 18446744073709551645'],
      ['Content-Length: 4294967325000000'],
      [`Content-Length : ${n}`],
      [`Content-Length\t: ${n}`],
      [`X: y`, ` Content-Length: ${n}`],
      [`Content-Length: ${n}`, 'Transfer-Encoding: identity']
    ]
    const codings = [
      'Transfer-Encoding: xchunked',
      'Transfer-Encoding: chunked, identity',
      'Transfer-Encoding: identity, chunked',
      'Transfer-Encoding: gzip, chunked',
      'Transfer-Encoding: chunked, chunked',
      'Transfer-Encoding: "chunked"',
      'Transfer-Encoding: chunked;q=1',
      'Transfer-Encoding: \x0bchunked',
      'Transfer-Encoding: chun\x00ked',
      'Transfer-Encoding : chunked',
      'Transfer-Encoding\x0b: chunked',
      'Transfer-Encoding:\r\n chunked',
      'Transfer-Encoding:\n chunked',
      'Transfer\r\n-Encoding: chunked',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
      'Transfer-Encoding:',
      'Transfer-Encoding: \u00e7hunked',
      'X: y\rTransfer-Encoding: chunked',
      'X: y\nTransfer-Encoding: chunked',
      'X: \x00',
      'X\x00: y',
      'X\x7f: y',
      ': nameless',
      'X : y',
      'no colon',
      '(X): y',
      'X: a\rb',
      'X: a\r\r\nY: b'
    ]
    const chunked = `${n.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`
    const cases = [
      ...lengths.flatMap(headers => [BODY, chunked].map(body => post(headers, body))),
      ...codings.flatMap(header => [post([header], chunked), post([header, `Content-Length: ${n}`], BODY)]),
      // obs-fold, bare LF as the end of a line or of the headers, CR alone, spaces before the first line's parts
      post([`Content-Length: ${n}`, 'X: a', ' b'], BODY),
      post([`Content-Length: ${n}`, 'X: a', '\tb'], BODY),
      post([`Content-Length: ${n}`], BODY).replaceAll('\r\n', '\n'),
      post([`Content-Length: ${n}`], BODY).replace('\r\n\r\n', '\n\n'),
      post([`Content-Length: ${n}`], BODY).replace('\r\n\r\n', '\r\n\n'),
      post([`Content-Length: ${n}`], BODY).replace('\r\n', '\r'),
      post([`Content-Length: ${n}`], BODY).replace('\r\nHost', '\nHost'),
      post([`Content-Length: ${n}`], BODY).replace('POST ', 'POST\t'),
      post([`Content-Length: ${n}`], BODY).replace(' HTTP/1.1', ''),
      post([`Content-Length: ${n}`], BODY).replace('HTTP/1.1', 'HTTP/1.2'),
      post([`Content-Length: ${n}`], BODY).replace('HTTP/1.1', 'HTTP/2.0'),
      post([`Content-Length: ${n}`], BODY).replace('HTTP/1.1', 'http/1.1'),
      post([`Content-Length: ${n}`], BODY).replace('HTTP/1.1', 'HTTP/1.1 x'),
      post(['Transfer-Encoding: chunked'], chunked).replace('HTTP/1.1', 'HTTP/1.0')
    ]
    await each(cases, async text => refused(await t.raw(text + smuggled()), JSON.stringify(text.slice(0, 300))), 32)
  }
)

test('D1 chunks that two programs could count differently are refused', async () => {
  const n = BODY.length.toString(16)
  const bodies = [
    `${n};a=\n${BODY}\r\n0\r\n\r\n`,
    `${n};\n${BODY}\r\n0\r\n\r\n`,
    `${n}\n${BODY}\r\n0\r\n\r\n`,
    `${n}\r${BODY}\r\n0\r\n\r\n`,
    `${n}\r\n${BODY}\n0\r\n\r\n`,
    `${n}\r\n${BODY}0\r\n\r\n`,
    `${n}\r\n${BODY}\r\r\n0\r\n\r\n`,
    `-${n}\r\n${BODY}\r\n0\r\n\r\n`,
    `+${n}\r\n${BODY}\r\n0\r\n\r\n`,
    `0x${n}\r\n${BODY}\r\n0\r\n\r\n`,
    ` ${n}\r\n${BODY}\r\n0\r\n\r\n`,
    `${n} \r\n${BODY}\r\n0\r\n\r\n`,
    `${n}_0\r\n${BODY}\r\n0\r\n\r\n`,
    `\r\n${n}\r\n${BODY}\r\n0\r\n\r\n`,
    `1000000000000001d\r\n${BODY}\r\n0\r\n\r\n`,
    `ffffffffffffffff\r\n${BODY}\r\n0\r\n\r\n`,
    `7fffffffffffffff\r\n${BODY}\r\n0\r\n\r\n`,
    `zz\r\n${BODY}\r\n0\r\n\r\n`,
    `\r\n`,
    `;x\r\n${BODY}\r\n0\r\n\r\n`,
    `1c\r\n${BODY}\r\n0\r\n\r\n`,
    `1e\r\n${BODY}\r\n0\r\n\r\n`
  ]
  await each(bodies, async body => {
    const answer = await t.raw(post(['Transfer-Encoding: chunked'], body) + smuggled())
    refused(answer, JSON.stringify(body))
  })
})

test(
  'D1 a request whose length is plain is read exactly, and bytes behind it are a request of their own or ' + 'refused',
  async () => {
    const whole = post([`Content-Length: ${BODY.length}`], BODY)
    const chunks = post(['Transfer-Encoding: chunked'], `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`)
    for (const text of [whole, chunks]) {
      assert.deepEqual((await t.raw(text)).statuses, [200])
      assert.deepEqual((await t.raw(text + t.request('GET /v1/models', ['Connection: close']))).statuses, [200, 200])
      // the answer, or the end of the connection; never a refusal in its place
      assert.deepEqual((await t.raw(`${text}GARBAGE\r\n\r\n`)).statuses.slice(1), [])
      assert.deepEqual(
        (await t.raw(text.replace('Content-Type', 'Connection: close\r\nContent-Type') + smuggled())).statuses,
        [200]
      )
    }
    // a body where none belongs is not left behind on the connection
    assert.deepEqual(
      (await t.raw(t.request('GET /v1/models', [`Content-Length: ${smuggled().length}`]) + smuggled())).statuses.filter(
        s => s < 300
      ),
      []
    )
  }
)

test(
  'D2 headers too many, too long, or named like parts of JavaScript objects are refused, each by itself and ' +
    'before the key is looked at',
  async () => {
    const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `X-${i}: y`)
    const get = (...headers: string[]): Promise<Answer> =>
      t.raw(t.request('GET /v1/models', [...headers, 'Connection: close']))
    assert.deepEqual((await get(...many(61))).statuses, [200]) // with Host, Authorization and Connection: 64
    assert.deepEqual((await get(...many(62))).statuses, [400])
    assert.deepEqual((await get(...many(3000))).statuses, [431])
    assert.deepEqual((await get(`X: ${'y'.repeat(20_000)}`)).statuses, [431])
    assert.deepEqual((await get(`${'X'.repeat(20_000)}: y`)).statuses, [431])
    for (const name of ['__proto__', 'constructor', 'prototype', '__PROTO__', 'Constructor']) {
      assert.deepEqual((await get(`${name}: x`)).statuses, [400], name)
    }
    for (const name of ['toString', 'hasOwnProperty', '__defineGetter__', 'valueOf']) {
      assert.deepEqual((await get(`${name}: x`, `${name}: y`)).statuses, [200], name)
    }
    const before = t.memory()
    await each(
      Array.from({ length: 200 }),
      async () => void (await t.raw(t.request('GET /', [`X: ${'y'.repeat(1 << 20)}`], '', ''))),
      50
    )
    assert.ok(t.memory() - before < 150, `memory grew by ${t.memory() - before} MiB`)
  }
)

test('D3 headers that come drop by drop are cut off, however many send them', async () => {
  const sockets = Array.from({ length: 200 }, () => t.socket())
  const ended = sockets.map(s => new Promise(resolve => void s.resume().once('close', resolve)))
  const drip = setInterval(() => sockets.forEach(s => s.writable && s.write('X')), 100)
  sockets.forEach(s => s.write('GET /health HTTP/1.1\r\nHost: localhost\r\n'))
  await eventually(async () => (await t.gauge('verit_connections')) > 100, 'the connections are there')
  await t.survives() // while they drip
  await Promise.all(ended)
  clearInterval(drip)
  await t.quiet()
})

test('D3 a slow body is cut off, and the body of an unauthenticated client is not waited for', async () => {
  const stranger = await t.raw(post(['Content-Length: 1000'], '{', ''))
  assert.deepEqual([stranger.statuses, stranger.closed], [[401], true])
  const sockets = Array.from({ length: 50 }, () => t.socket())
  const ended = sockets.map(s => new Promise(resolve => void s.resume().once('close', resolve)))
  const drip = setInterval(() => sockets.forEach(s => s.writable && s.write(' ')), 100)
  sockets.forEach(s => s.write(post(['Content-Length: 100000'], '{')))
  await Promise.all(ended)
  clearInterval(drip)
  await t.quiet()
})

test('D3 a client that does not read its stream holds little memory and is closed in the end', async () => {
  const before = t.memory()
  const sockets = Array.from({ length: 2 }, () => t.socket().pause())
  const body = JSON.stringify({ prompt: 'x', max_tokens: 16_000, stream: true, ignore_eos: true, logprobs: 20 })
  sockets.forEach(s => s.write(post([`Content-Length: ${body.length}`], body)))
  await eventually(async () => (await t.gauge('verit_generations_running')) > 0, 'generations run')
  await t.quiet()
  assert.ok(t.memory() - before < 150, `memory grew by ${t.memory() - before} MiB`)
  sockets.forEach(s => s.destroy())
})

test('D4 a queued answer ends with its client, and no answer is interrupted by another', async () => {
  const body = JSON.stringify({ prompt: 'x', max_tokens: 16_000, stream: true, ignore_eos: true })
  const stream = post([`Content-Length: ${body.length}`], body)
  const socket = t.socket()
  socket.write(stream + stream)
  await new Promise(resolve => void socket.once('data', resolve))
  socket.resetAndDestroy()
  await t.quiet()
  const { text } = await t.raw(stream, 'GARBAGE\r\n\r\n')
  assert.equal(text.match(/HTTP\/1\.1 /g)?.length ?? 0, text === '' ? 0 : 1)
})

test(
  'D4 requests behind one another on a connection are answered in order, each by its own key, and a flood of ' +
    'them is bounded',
  async () => {
    const requests = Array.from({ length: 30 }, (_, i) =>
      t.request(i % 3 === 0 ? 'GET /health' : 'GET /v1/models', [], '', i % 3 === 1 ? '' : undefined)
    )
    const answer = await t.raw(`${requests.join('')}${t.request('GET /v1/models', ['Connection: close'])}`)
    assert.deepEqual(answer.statuses, [...requests.map((_, i) => (i % 3 === 1 ? 401 : 200)), 200])
    const before = t.memory()
    const flood = t.request('GET /health', [], '', '').repeat(20_000)
    const sockets = Array.from({ length: 10 }, () => t.socket().pause())
    sockets.forEach(s => s.write(flood))
    await sleep(300)
    await t.survives()
    assert.ok(t.memory() - before < 200, `memory grew by ${t.memory() - before} MiB`)
    sockets.forEach(s => s.resetAndDestroy())
    await t.quiet()
  }
)

test(
  'D5 nobody is told to continue without a key, other expectations are refused, and no upgrade switches the ' +
    'protocol',
  async () => {
    const length = `Content-Length: ${BODY.length}`
    assert.deepEqual((await t.raw(post([length, 'Expect: 100-continue'], '', ''))).statuses, [401])
    assert.deepEqual((await t.raw(post([length, 'Expect: 100-continue'], BODY))).statuses, [100, 200])
    for (const expect of ['100-continue, x', '100', '200-ok', 'x'.repeat(100)]) {
      assert.deepEqual((await t.raw(post([length, `Expect: ${expect}`], BODY))).statuses, [417], expect)
    }
    const upgrades = ['websocket', 'h2c', 'TLS/1.3', 'verit']
    await each(
      upgrades.flatMap(name => [true, false].map(body => ({ name, body }))),
      async ({ name, body }) => {
        // Ignored (RFC 9110 section 7.8): the request is answered, and what follows it is never run.
        const headers = [`Upgrade: ${name}`, 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAAQAAP__']
        const first = body ? post([length, ...headers], BODY) : t.request('GET /v1/models', headers)
        const { statuses, text, closed } = await t.raw(first + smuggled())
        assert.deepEqual([statuses, closed], [[200], true], `${name}: ${text.slice(0, 100)}`)
        assert.doesNotMatch(text, /^upgrade:/im)
      }
    )
    for (const connection of ['Authorization', 'close, Authorization', 'Signature', 'Host']) {
      refused(await t.raw(t.request('GET /v1/models', [`Connection: ${connection}`]) + smuggled()), connection)
    }
    assert.deepEqual(
      (await t.raw(`CONNECT 127.0.0.1:${t.port} HTTP/1.1\r\nHost: localhost\r\n\r\n${smuggled()}`)).statuses.filter(
        s => s < 400
      ),
      []
    )
  }
)

test(
  "D6 no method but the route's own, and HEAD for GET, is answered 2xx, TRACE echoes nothing, and no header " +
    'changes the method or the address',
  async () => {
    const methods = [...METHODS, 'get', 'Post', 'FOO', 'GET\x00', 'DEBUG', 'TRACK']
    const cases = routeTable.flatMap(route =>
      methods
        .filter(m => m !== route.method)
        .map(method => ({ method, path: route.path.replace(':id', t.all.record.id) }))
    )
    await each(
      cases,
      async ({ method, path }) => {
        if (routeTable.some(r => methodsOf(r).includes(method) && r.path === path.replace(t.all.record.id, ':id')))
          return
        const { statuses, text } = await t.raw(t.request(`${method} ${path}`, ['Connection: close', 'X-Echo: echo-me']))
        assert.deepEqual(
          statuses.filter(s => s < 400),
          [],
          `${method} ${path}`
        )
        assert.doesNotMatch(text, /echo-me|verit_/)
      },
      32
    )
    for (const header of [
      'X-HTTP-Method-Override: POST',
      'X-HTTP-Method: DELETE',
      'X-Method-Override: PATCH',
      'X-Original-URL: /v1/admin/keys',
      'X-Rewrite-URL: /v1/admin/keys'
    ]) {
      assert.deepEqual((await t.raw(t.request('GET /health', [header, 'Connection: close']))).statuses, [400], header)
    }
  }
)

/** Other ways to write a path, which some program on the way may take for the same. */
export function aliases(path: string): string[] {
  const [, first = '', ...rest] = path.split('/')
  const tail = rest.length === 0 ? '' : `/${rest.join('/')}`
  const escape = (c: string): string => `%${c.charCodeAt(0).toString(16).padStart(2, '0')}`
  return [
    `/${path}`,
    `${path}/`,
    `${path}//`,
    `${path}/.`,
    `${path}/..`,
    `/.${path}`,
    `/./${path.slice(1)}`,
    `/x/..${path}`,
    `/%2e${path}`,
    `/%2e%2e${path}`,
    `/x/%2e%2e${path}`,
    `${path}%2f`,
    `${path}%00`,
    `${path}%20`,
    `${path}%0d%0a`,
    `/${escape(first[0]!)}${first.slice(1)}${tail}`,
    path.slice(0, -1) + escape(path.at(-1)!),
    path.slice(0, -1) + escape(path.at(-1)!).toUpperCase(),
    `/%25${escape(first[0]!).slice(1)}${first.slice(1)}${tail}`,
    path.toUpperCase(),
    `/${first[0]!.toUpperCase()}${first.slice(1)}${tail}`,
    `${path};x`,
    `${path};x=/health`,
    `/${first};x${tail}`,
    `/health/..${path}`,
    `/health;/..${path}`,
    `/health/%2e%2e${path}`,
    `/health%2f..${path}`,
    `${path}?x`,
    `${path}?`,
    `${path}?/health`,
    `${path}#x`,
    `${path}%23`,
    `${path}%3f`,
    `\\${path.slice(1)}`,
    path.replaceAll('/', '\\'),
    `/${path.slice(1).replaceAll('/', '%5c')}`,
    path.replace('/', '/%2f'),
    path.replace('/', '/\u00b7'),
    `${path}.json`,
    `${path}~`,
    `${path}%c0%af`,
    `/\u00e9/..${path}`,
    `http://127.0.0.1${path}`,
    `http://evil.example${path}`,
    `//evil.example${path}`,
    `${path}/%zz`,
    `*${path}`
  ].filter(alias => alias !== path)
}

test(
  'D7 no other spelling of any address is answered 2xx: not without a key, not with a key that lacks the ' +
    'scope, not with one that has it',
  async () => {
    const none = await t.key({ name: 'nothing much', scopes: ['embed'] })
    const cases = routeTable.flatMap(route => {
      const path = route.path.replace(':id', none.record.id)
      const plain = route.requires === 'nothing' ? [] : [path]
      // Monitors add a query to open addresses, where it is ignored.
      const others = aliases(path).filter(alias => route.requires !== 'nothing' || !alias.startsWith(`${path}?`))
      return [
        ...others.flatMap(alias => ['', none.key, t.all.key].map(key => ({ route, alias, key }))),
        ...plain.flatMap(alias => ['', none.key].map(key => ({ route, alias, key })))
      ]
    })
    await each(
      cases,
      async ({ route, alias, key }) => {
        const body = route.takesBody ? BODY : ''
        const { statuses, text } = await t.raw(
          t.request(
            `${route.method} ${alias}`,
            ['Connection: close', ...(route.takesBody ? [TYPE, `Content-Length: ${body.length}`] : [])],
            body,
            key
          )
        )
        assert.equal(statuses.length, 1, `${alias}: ${text}`)
        assert.ok(statuses[0]! >= 400 && statuses[0]! < 500, `${route.method} ${alias}: ${text.slice(0, 80)}`)
        if (key === none.key && alias === route.path) assert.equal(statuses[0], 403)
      },
      48
    )
  }
)

test('D8 parameters in the address, and headers twice, are refused instead of one of them being chosen', async () => {
  for (const query of ['?', '?model=a&model=b', '?api_key=x', '?prompt=a', '?key[]=1']) {
    assert.deepEqual((await t.raw(t.request(`GET /v1/models${query}`, ['Connection: close']))).statuses, [400], query)
  }
  const twice = [
    ['Authorization: Bearer x'],
    ['authorization: Bearer x'],
    ['AUTHORIZATION:'],
    ['Host: localhost'],
    ['Content-Type: text/plain', 'Content-Type: application/json'],
    ['Origin: https://a.example', 'Origin: https://a.example'],
    ['Expect: 100-continue', 'Expect: 100-continue'],
    ['Content-Digest: a', 'Content-Digest: b'],
    ['Signature: a', 'Signature: b'],
    ['Content-Encoding: identity', 'Content-Encoding: identity']
  ]
  await each(twice, async headers => {
    const { statuses } = await t.raw(t.request('GET /v1/models', headers))
    assert.deepEqual(
      statuses.filter(s => s < 400),
      [],
      headers.join()
    )
  })
})

test('D9 chunk extensions and trailers change nothing, and a flood of them is cut off', async () => {
  const n = BODY.length.toString(16)
  const small = await t.raw(
    post(['Transfer-Encoding: chunked', 'Connection: close'], `${n};a="b";c\r\n${BODY}\r\n0\r\n\r\n`)
  )
  assert.deepEqual(small.statuses, [200])
  const trailers = await t.raw(
    post(
      ['Transfer-Encoding: chunked', 'Connection: close'],
      `${n}\r\n${BODY}\r\n0\r\nAuthorization: Bearer ${t.all.key}\r\nContent-Length: 3\r\n\r\n`,
      ''
    )
  )
  assert.deepEqual(
    trailers.statuses.filter(s => s < 400),
    [],
    'a key in a trailer is none'
  )
  const before = t.memory()
  const flood = Array.from({ length: 400 }, () => `1;${'x'.repeat(60_000)}\r\n \r\n`)
  const { statuses } = await t.raw(post(['Transfer-Encoding: chunked'], ''), ...flood)
  assert.deepEqual(
    statuses.filter(s => s < 400),
    []
  )
  assert.ok(t.memory() - before < 150)
})

test('D10 compressed bodies are refused unread: a bomb costs no memory', async () => {
  const bomb = Buffer.alloc(64 << 20, ' ')
  const bodies = {
    gzip: gzipSync(bomb),
    deflate: deflateSync(bomb),
    br: brotliCompressSync(bomb.subarray(0, 8 << 20)),
    zstd: zstdCompressSync(bomb)
  }
  const before = t.memory()
  await each(
    [
      ...Object.entries(bodies),
      ['x-gzip', bodies.gzip] as const,
      ['gzip, gzip', bodies.gzip] as const,
      ['identity', Buffer.from(BODY)] as const
    ],
    async ([coding, bytes]) => {
      const { statuses } = await t.raw(
        post([`Content-Length: ${bytes.length}`, `Content-Encoding: ${coding}`, 'Connection: close'], ''),
        bytes.subarray(0, 1 << 20)
      )
      assert.deepEqual(statuses, [415], coding)
    }
  )
  assert.ok(t.memory() - before < 150, `memory grew by ${t.memory() - before} MiB`)
})

test('D11 HTTP/2 is not spoken: its preface, ALPN and h2c are refused or ignored (D5)', async () => {
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00'
  refused(await t.raw(preface + '\x00\x00\x00\x01\x05\x00\x00\x00\x01'.repeat(100)), 'the preface')
  const dir = mkdtempSync(join(tmpdir(), 'verit-alpn-'))
  const { cert, key } = makeCertificate({ subject: 'localhost', purpose: 'server', names: ['localhost', '127.0.0.1'] })
  writeFileSync(join(dir, 'cert.pem'), cert)
  writeFileSync(join(dir, 'key.pem'), key, { mode: 0o600 })
  const gateway = await testGateway(join(dir, 'state'), config => {
    config.listen.tlsCert = join(dir, 'cert.pem')
    config.listen.tlsKey = join(dir, 'key.pem')
  })
  await gateway.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = gateway.app.server.address() as AddressInfo
  const agreed = await new Promise<string | false | null>((resolve, reject) => {
    const socket = tlsConnect(
      { port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] },
      () => {
        resolve(socket.alpnProtocol)
        socket.destroy()
      }
    ).on('error', reject)
  })
  assert.equal(agreed, 'http/1.1')
  await gateway.close()
  rmSync(dir, { recursive: true })
})

test(
  'D12 a Host header that names another server, or nothing that can be one, is refused on every route that ' +
    'needs a key',
  async () => {
    const hosts = [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'localhost@evil.example',
      'evil.example:80@localhost',
      'localhost, evil.example',
      'localhost evil.example',
      'localhost/',
      'localhost/..',
      'localhost?x',
      'localhost#',
      'localhost:x',
      'localhost:99999',
      'localhost:123456',
      '127.999.1.1',
      '[127.0.0.1]',
      '[::1',
      '::1',
      '[::1]x',
      'localhost\\x',
      '',
      ' ',
      '0.0.0.0',
      '2130706433',
      '0x7f000001',
      '127.1',
      '0177.0.0.1',
      '169.254.169.254',
      '[::ffff:127.0.0.1]',
      '[::ffff:1.2.3.4]',
      'LOCALHOST.',
      "localhost'",
      'l\u00f6calhost',
      '192.168.0.1'
    ]
    await each(hosts, async host => {
      const { statuses, text } = await t.raw(
        `GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${t.all.key}\r\nConnection: close\r\n\r\n`
      )
      assert.ok(statuses[0] === 403 || statuses[0] === 400, `${host}: ${text.slice(0, 60)}`)
    })
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1:8081', '[::1]:8081', '127.0.0.2', 'localhost:']) {
      const { statuses } = await t.raw(
        `GET /v1/models HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${t.all.key}\r\nConnection: close\r\n\r\n`
      )
      assert.deepEqual(statuses, [200], host)
    }
    for (const header of ['X-Forwarded-Host', 'Forwarded', 'X-Host', 'X-Forwarded-Server']) {
      // none of them is read
      const { statuses } = await t.raw(
        `GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n${header}: localhost\r\nConnection: close\r\n\r\n`
      )
      assert.deepEqual(statuses, [403], header)
    }
  }
)

test(
  'D13 a client that breaks off at every byte of its request, or anywhere in its answer, costs no place and no ' +
    'connection',
  async () => {
    const before = t.memory()
    const whole = post([`Content-Length: ${BODY.length}`], BODY)
    await each(
      Array.from({ length: whole.length + 1 }, (_, i) => i),
      async i => {
        const socket = t.socket()
        await new Promise<void>(resolve => void socket.write(whole.slice(0, i), () => resolve()))
        if (i % 2 === 0) socket.destroy()
        else socket.resetAndDestroy()
      }
    )
    const body = JSON.stringify({ prompt: 'x', max_tokens: 16_000, stream: true, ignore_eos: true })
    await each(
      Array.from({ length: 40 }, (_, i) => i * 37),
      async bytes => {
        const socket = t.socket()
        socket.write(post([`Content-Length: ${body.length}`], body))
        let seen = 0
        await new Promise<void>(
          resolve => void socket.on('data', (chunk: Buffer) => void ((seen += chunk.length) > bytes && resolve()))
        )
        if (bytes % 2 === 0) socket.destroy()
        else socket.resetAndDestroy()
      }
    )
    await t.quiet()
    assert.ok(t.memory() - before < 150)
  }
)

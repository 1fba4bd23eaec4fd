/**
 * Every limit of the configuration on both sides of its edge: the last request that is inside is answered, the first
 * that is outside is refused as such.
 */
// long: it starts three servers and waits for their limits
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { parseList } from 'structured-headers'
import { settings } from '../../src/server/config-fields.ts'
import { ed25519ToSpki } from '../../src/trust/ed25519.ts'
import { signRequest } from '../../src/trust/request-profile.ts'
import { killServers } from '../served.ts'
import { Target, codeOf, each, eventually } from './target.ts'

/**
 * Small limits of everything that one request can exceed by itself, and of what a key has in a minute, a day and a
 * month.
 */
let small: Target
/** Few places, and little for one address; addresses are those that a declared proxy names. */
let crowded: Target
/** Few connections, and few bytes of a key. */
let narrow: Target
before(async () => {
  const sections = {
    listen: { trusted_proxies: ['127.0.0.1'] },
    http: { body_bytes: 2048, header_bytes: 2048, headers: 12, url_bytes: 80, json_depth: 6 },
    inference: { prompt_tokens: 20, output_tokens: 60 },
    keys: { requests_per_minute: 4, tokens_per_minute: 50, tokens_per_day: 40, tokens_per_month: 45 },
    addresses: { requests_per_minute: 6, tokens_per_minute: 70 },
    signing: { window_seconds: 10 }
  }
  ;[small, crowded, narrow] = await Promise.all([
    Target.start(sections),
    Target.start(
      {
        listen: { trusted_proxies: ['127.0.0.1'] },
        inference: { parallel: 2, queue: 2, context: 1 << 15 },
        keys: { streams: 2 },
        addresses: { streams: 3, failures_per_minute: 5 }
      },
      1 << 15
    ),
    Target.start({
      http: {
        body_bytes: 2048,
        connections: 14,
        connections_per_address: 6,
        idle_seconds: 30,
        header_seconds: 30,
        request_seconds: 30
      },
      keys: { bytes_per_minute: 4096 },
      inference: { context: 25 }
    })
  ])
  const plenty = {
    requestsPerMinute: 1e9,
    tokensPerMinute: 1e9,
    streams: 10_000,
    tokensPerDay: 1e9,
    tokensPerMonth: 1e9
  }
  for (const t of [small, crowded]) await t.store.keys.change(t.all.record.id, { limits: plenty }, 'cli')
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  await Promise.all([small, crowded, narrow].map(t => t.stop()))
})

let addresses = 0
/** An address of a network that nobody has used yet. */
const elsewhere = (): Record<string, string> => ({ 'x-forwarded-for': `198.51.${++addresses}.1` })
/**
 * Asks `small` for at most so many tokens: two for the prompt, which could be that long by its bytes, and the rest for
 * the answer.
 */
const ask = (tokens: number, key: string, headers = elsewhere()): Promise<Response> =>
  small.complete({ prompt: 'x', max_tokens: tokens - 2 }, { key, headers })
const expect = async (response: Response, status: number, code?: string): Promise<Response> => {
  assert.deepEqual([response.status, response.status === 200 ? undefined : await codeOf(response)], [status, code])
  if (status === 200) await response.arrayBuffer()
  // when to come back, or that it is of no use
  const [after, retry] = ['retry-after', 'x-should-retry'].map(name => response.headers.get(name))
  if (status === 429 || status === 503)
    assert.ok(/^[1-9]\d*$/.test(after ?? '') || retry === 'false', `${status} says nothing of when to come back`)
  return response
}

/** The fields that tell what is left, read as a client would. */
function limitsTold(response: Response): Record<string, { q: number; w: number; r: number; t: number }> {
  const told: Record<string, { q: number; w: number; r: number; t: number }> = {}
  const [policy, left] = ['ratelimit-policy', 'ratelimit'].map(name => parseList(response.headers.get(name) ?? ''))
  assert.deepEqual(
    policy!.map(([name]) => name),
    left!.map(([name]) => name)
  )
  for (const [i, [name, parameters]] of policy!.entries()) {
    const of = (list: unknown, key: string): number => (list as Map<string, number>).get(key)!
    const one = { q: of(parameters, 'q'), w: of(parameters, 'w'), r: of(left![i]![1], 'r'), t: of(left![i]![1], 't') }
    for (const n of Object.values(one)) assert.ok(Number.isSafeInteger(n) && n >= 0)
    assert.ok(one.r <= one.q && one.t <= one.w)
    told[String(name)] = one
  }
  for (const unit of ['requests', 'tokens']) {
    const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map(what =>
      response.headers.get(`x-ratelimit-${what}-${unit}`)
    )
    if (told[unit] === undefined) assert.equal(limit, null)
    else assert.deepEqual([limit, remaining, reset], [String(told[unit].q), String(told[unit].r), `${told[unit].t}s`])
  }
  return told
}

test('http.body_bytes: the last byte that fits, and the next', async () => {
  const body = (bytes: number): string => `{"prompt":"x","max_tokens":1${' '.repeat(bytes - 29)}}`
  await expect(await small.fetch('/v1/completions', { method: 'POST', body: body(2048), headers: elsewhere() }), 200)
  await expect(
    await small.fetch('/v1/completions', { method: 'POST', body: body(2049), headers: elsewhere() }),
    413,
    'VERIT_BODY_TOO_LARGE'
  )
  const chunked = (bytes: number): Promise<{ statuses: number[] }> =>
    small.raw(
      small.request(
        'POST /v1/completions',
        [
          'X-Forwarded-For: 203.0.113.1',
          'Content-Type: application/json',
          'Transfer-Encoding: chunked',
          'Connection: close'
        ],
        `${bytes.toString(16)}\r\n${body(bytes)}\r\n0\r\n\r\n`
      )
    )
  assert.deepEqual((await chunked(2048)).statuses, [200])
  assert.deepEqual((await chunked(2049)).statuses, [413])
})

test('http.headers, http.header_bytes and http.url_bytes: the last that fit, and the next', async () => {
  const get = async (path: string, ...headers: string[]): Promise<number | undefined> =>
    (await small.raw(small.request(`GET ${path}`, ['Connection: close', ...headers], '', ''))).statuses[0]
  const more = (n: number): string[] => Array.from({ length: n }, (_, i) => `X-${i}: y`)
  // Host and Connection are two
  assert.deepEqual([await get('/health', ...more(10)), await get('/health', ...more(11))], [200, 400])
  const path = (bytes: number): string => `/${'a'.repeat(bytes - 1)}`
  assert.deepEqual([await get(path(80)), await get(path(81))], [401, 400])
  const sized = (bytes: number): Promise<number | undefined> => get('/health', `X: ${'y'.repeat(bytes)}`)
  let [low, high] = [1000, 3000]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((await sized(middle)) === 200) low = middle
    else high = middle
  }
  assert.equal(await sized(high), 431)
  assert.ok(Math.abs(high + 60 - 2048) < 100, `the edge is at a header of ${high} bytes`)
})

test('http.json_depth: the deepest that is read, and one deeper', async () => {
  const nested = (depth: number): string =>
    `{"prompt":"x","max_tokens":1,"messages":[{"metadata":${'['.repeat(depth - 3)}${']'.repeat(depth - 3)}}]}`
  const send = (depth: number): Promise<Response> =>
    small.fetch('/v1/completions', { method: 'POST', body: nested(depth), headers: elsewhere() })
  await expect(await send(6), 400, 'VERIT_REQUEST') // read, and refused for what it asks
  await expect(await send(7), 400, 'VERIT_JSON')
})

test('keys.bytes_per_minute: the last byte of a minute, and the next, whatever becomes of the bodies', async () => {
  const { key } = await narrow.key()
  const send = (bytes: number, chunked = false): Promise<Response> => {
    const text = '{"prompt":"x","max_tokens":1,"nothing":1}'.padEnd(bytes)
    const body = chunked ? new Blob([text]).stream() : text
    const init = { method: 'POST', body, key, ...(chunked && { duplex: 'half' }) }
    return narrow.fetch('/v1/completions', init as RequestInit)
  }
  const first = await expect(await send(2000), 400, 'VERIT_REQUEST')
  assert.deepEqual(limitsTold(first)['bytes'], { q: 4096, w: 60, r: 2096, t: 30 })
  assert.match(first.headers.get('ratelimit-policy')!, /"bytes";q=4096;w=60;qu="content-bytes"/)
  // a body in chunks counts as the longest until it is there; what it was shorter comes back
  await expect(await send(90, true), 400, 'VERIT_REQUEST')
  const refused = await send(2048)
  assert.ok(Number(refused.headers.get('retry-after')) <= 60)
  await expect(refused, 429, 'VERIT_RATE_LIMIT')
  await expect(await narrow.fetch('/v1/models', { key }), 200) // what has no body goes on
  await expect(await narrow.complete({}, { key: (await narrow.key()).key }), 200) // another key
})

test('inference.prompt_tokens, inference.output_tokens and inference.context: at the limit, and one more', async () => {
  const prompt = (n: number): { prompt: number[] } => ({ prompt: Array.from({ length: n }, () => 65) })
  await expect(await small.complete(prompt(20), { headers: elsewhere() }), 200)
  await expect(await small.complete(prompt(21), { headers: elsewhere() }), 400, 'VERIT_PROMPT_LIMIT')
  await expect(await small.complete({ max_tokens: 60 }, { headers: elsewhere() }), 200)
  await expect(await small.complete({ max_tokens: 61 }, { headers: elsewhere() }), 400, 'VERIT_REQUEST')
  await expect(await narrow.complete(prompt(24)), 200)
  await expect(await narrow.complete(prompt(25)), 400, 'VERIT_PROMPT_LENGTH')
  const { usage } = (await (await narrow.complete({ prompt: 'x', max_tokens: 100, ignore_eos: true })).json()) as {
    usage: { total_tokens: number }
  }
  assert.ok(usage.total_tokens <= 26, 'the context ends the answer')
  // a key's own limit counts where it is lower
  const { key } = await small.key({
    limits: { promptTokens: 5, outputTokens: 3, requestsPerMinute: 100, tokensPerMinute: 1000 }
  })
  await expect(await small.complete({ ...prompt(5), max_tokens: 3 }, { key, headers: elsewhere() }), 200)
  await expect(
    await small.complete({ ...prompt(6), max_tokens: 3 }, { key, headers: elsewhere() }),
    400,
    'VERIT_PROMPT_LIMIT'
  )
  await expect(
    await small.complete({ ...prompt(5), max_tokens: 4 }, { key, headers: elsewhere() }),
    400,
    'VERIT_REQUEST'
  )
})

test('keys.requests_per_minute: the last request of a minute, and the next, with the remaining number', async () => {
  const { key } = await small.key()
  for (let left = 3; left >= 0; left--) {
    assert.equal(
      limitsTold(await expect(await small.fetch('/v1/models', { key, headers: elsewhere() }), 200))['requests']!.r,
      left
    )
  }
  const refused = await expect(await small.fetch('/v1/models', { key, headers: elsewhere() }), 429, 'VERIT_RATE_LIMIT')
  assert.deepEqual([limitsTold(refused)['requests']!.r, limitsTold(refused)['requests']!.q], [0, 4])
  assert.ok(Number(refused.headers.get('retry-after')) <= 60)
  // another key
  await expect(await small.fetch('/v1/models', { key: (await small.key()).key, headers: elsewhere() }), 200)
})

test(
  'keys.tokens_per_minute, keys.tokens_per_day and keys.tokens_per_month: the most that a request may take, ' +
    'and one more',
  async () => {
    const roomy = { requestsPerMinute: 100, tokensPerMinute: 1000, tokensPerDay: 1000, tokensPerMonth: 1000 }
    for (const [own, most, name, code] of [
      [{ ...roomy, tokensPerMinute: undefined }, 50, 'tokens', 'VERIT_RATE_LIMIT'],
      [{ ...roomy, tokensPerDay: undefined }, 40, 'tokens-day', 'VERIT_BUDGET'],
      [{ ...roomy, tokensPerMonth: undefined }, 45, 'tokens-month', 'VERIT_BUDGET']
    ] as const) {
      const limits = Object.fromEntries(Object.entries(own).filter(([, v]) => v !== undefined))
      const { key } = await small.key({ limits })
      await expect(await ask(most + 1, key), 429, code)
      const answer = await ask(most, key)
      assert.equal(limitsTold(answer)[name]!.q, most, name)
      await expect(answer, 200)
      const { key: other } = await small.key({ limits })
      for (let i = 0; i < 40; i++) {
        // small requests, until what was really used fills it
        const response = await ask(10, other)
        if (response.status !== 200) {
          await expect(response, 429, code)
          break
        }
        await response.arrayBuffer()
        assert.ok(i < 39, `${name} is never full`)
      }
    }
  }
)

test(
  'addresses.requests_per_minute and addresses.tokens_per_minute: the last of an address, whatever its keys, ' +
    'and the next',
  async () => {
    const one = elsewhere()
    const limits = { requestsPerMinute: 1000, tokensPerMinute: 1000, tokensPerDay: 1000, tokensPerMonth: 1000 }
    const keys = await Promise.all(Array.from({ length: 7 }, () => small.key({ limits })))
    for (const { key } of keys.slice(0, 6)) await expect(await small.fetch('/v1/models', { key, headers: one }), 200)
    await expect(await small.fetch('/v1/models', { key: keys[6]!.key, headers: one }), 429, 'VERIT_RATE_LIMIT')
    await expect(await small.fetch('/v1/models', { key: keys[6]!.key, headers: elsewhere() }), 200)
    // an IPv6 network of 2^64 addresses is one (wider ones: src/server/rates.test.ts)
    for (let i = 0; i < 6; i++)
      await expect(await small.fetch('/v1/models', { headers: { 'x-forwarded-for': `2001:db8::${i}` } }), 200)
    await expect(
      await small.fetch('/v1/models', { headers: { 'x-forwarded-for': '2001:db8::ffff:1' } }),
      429,
      'VERIT_RATE_LIMIT'
    )
    await expect(await small.fetch('/v1/models', { headers: { 'x-forwarded-for': '2001:db8:0:1::1' } }), 200)
    // 70 tokens; one request may ask for 62 at most
    const full = elsewhere()
    const used = (
      (await (await small.complete({ prompt: 'x', max_tokens: 60, ignore_eos: true }, { headers: full })).json()) as {
        usage: { total_tokens: number }
      }
    ).usage.total_tokens
    assert.equal(used, 61)
    await expect(await small.complete({ prompt: 'x', max_tokens: 8 }, { headers: full }), 429, 'VERIT_RATE_LIMIT')
    await expect(await small.complete({ prompt: 'x', max_tokens: 7 }, { headers: full }), 200)
  }
)

test(
  "whoever floods the server without a key, a web page in the visitor's browser too, does not lock out the " +
    'keys of the same address',
  async () => {
    const here = elsewhere()
    const statuses = new Set<number>()
    await each(
      Array.from({ length: 40 }, (_, i) => i),
      async i => {
        const page = { 'sec-fetch-mode': 'no-cors', 'sec-fetch-site': 'cross-site' }
        const headers = { ...here, ...(i % 2 === 0 ? page : { authorization: 'Bearer verit_x' }) }
        statuses.add((await small.fetch('/v1/models', { key: '', headers })).status)
      }
    )
    assert.deepEqual(
      [...statuses].toSorted((a, b) => a - b),
      [401, 429],
      'the flood itself is limited'
    )
    await expect(await small.complete({}, { headers: here }), 200)
  }
)

test(
  'addresses.failures_per_minute: so many refused credentials of an address have an entry of their own in the ' +
    'audit log, further ones are counted',
  async () => {
    const guess = (headers: Record<string, string>): Promise<Response> =>
      crowded.fetch('/v1/models', { key: 'wrong', headers })
    const headers = elsewhere()
    const first = await crowded.entries()
    for (let i = 0; i < 5; i++) await expect(await guess(headers), 401, 'VERIT_UNAUTHORIZED')
    const told = (await crowded.entries()) - first
    for (let i = 0; i < 20; i++) await expect(await guess(headers), 401, 'VERIT_UNAUTHORIZED')
    // reading the checkpoint is an entry each time
    assert.deepEqual([told, (await crowded.entries()) - first], [6, 7])
    await expect(await crowded.fetch('/v1/models', { headers }), 200) // a valid key goes on
    // nor does a network of 2^64 addresses fill the log
    const before = await crowded.entries()
    for (let i = 0; i < 30; i++)
      await expect(await guess({ 'x-forwarded-for': `2001:db8:2::${i.toString(16)}` }), 401, 'VERIT_UNAUTHORIZED')
    assert.equal((await crowded.entries()) - before, 6)
  }
)

test('signing.window_seconds: the oldest and the newest signature that holds, and those beyond', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const { credentialId } = await small.store.keys.create(
    { name: 'signer', kind: 'ed25519', public: ed25519ToSpki(publicKey), limits: { requestsPerMinute: 100 } },
    'cli'
  )
  for (const [seconds, status] of [
    [-9, 200],
    [-12, 401],
    [9, 200],
    [12, 401]
  ] as const) {
    const { headers } = signRequest(
      { method: 'GET', authority: `127.0.0.1:${small.port}`, path: '/v1/models', headers: {} },
      { alg: 'ed25519', keyId: credentialId, privateKey },
      Math.floor(Date.now() / 1000) + seconds
    )
    assert.equal(
      (await small.fetch('/v1/models', { key: '', headers: { ...headers, ...elsewhere() } })).status,
      status,
      `${seconds} s`
    )
  }
})

test(
  'inference.parallel, inference.queue, keys.streams and addresses.streams: the last place, and the next ' + 'request',
  async () => {
    const leave = new AbortController()
    const endless = (key: string, headers: Record<string, string>): Promise<Response> =>
      crowded.complete({ max_tokens: 30_000, stream: true, ignore_eos: true }, { key, headers, signal: leave.signal })
    const [one, two, three] = await Promise.all([crowded.key(), crowded.key(), crowded.key()])
    const [here, there] = [elsewhere(), elsewhere()]
    const running = [await endless(one.key, here), await endless(one.key, here)] // both places
    assert.deepEqual(
      running.map(r => r.status),
      [200, 200]
    )
    await expect(await endless(one.key, elsewhere()), 429, 'VERIT_TOO_MANY') // a third of the key
    const waiting = [endless(two.key, here)] // the third of the address
    await eventually(async () => (await crowded.gauge('verit_generations_waiting')) === 1, 'it waits')
    await expect(await endless(three.key, here), 429, 'VERIT_TOO_MANY') // a fourth of the address
    waiting.push(endless(three.key, there)) // the second in the queue
    await eventually(async () => (await crowded.gauge('verit_generations_waiting')) === 2, 'they wait')
    assert.equal(await crowded.gauge('verit_generations_running'), 2)
    await expect(await endless(three.key, elsewhere()), 503, 'VERIT_BUSY')
    leave.abort()
    await Promise.allSettled([...waiting, ...running.map(r => r.text())])
    await crowded.quiet()
    await crowded.survives()
  }
)

test('http.connections_per_address and http.connections: one more closes the oldest unauthenticated one', async () => {
  const { port } = narrow
  const open = (localAddress: string): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined)
      socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n')
      socket
        .once('data', () => resolve(socket))
        .once('close', () => reject(new Error('the newest connection was refused')))
    })
  const sockets: Socket[] = []
  // 6 for one address, of which a quarter, rounded down, is kept for proven keys: 5, or fewer where fetch of this test
  // holds some
  for (let i = 0; i < 12; i++) sockets.push(await open(`127.0.0.${2 + (i % 5)}`))
  await eventually(() => sockets.slice(0, 7).every(s => s.destroyed), 'the oldest are ended')
  assert.ok(!sockets.at(-1)!.destroyed, 'the newest is open')
  assert.equal((await narrow.complete()).status, 200)
  assert.ok((await narrow.gauge('verit_connections')) <= 6)
  sockets.forEach(s => s.destroy())
})

test('every limit among the settings has a test: here, or with the clients that are too slow', () => {
  // D3, test/server-limits.test.ts, src/server/connections.test.ts; memory: test/sandbox.test.ts; threads:
  // test/serve-config.test.ts; cache: src/engine/cache-size.test.ts, test/batching.test.ts
  const slow = [
    'http.header_seconds',
    'http.request_seconds',
    'http.idle_seconds',
    'http.slow_reader_seconds',
    'http.keep_alive_seconds',
    'inference.request_timeout_seconds',
    'inference.memory_mib',
    'inference.cache_mib',
    'inference.threads'
  ]
  const limits = settings
    .filter(s => s.schema.type === 'integer' && !/^(?:listen|audit)\./.test(s.name))
    .map(s => s.name)
  const here = [
    'http.body_bytes',
    'http.headers',
    'http.header_bytes',
    'http.url_bytes',
    'http.json_depth',
    'http.connections',
    'http.connections_per_address',
    'inference.parallel',
    'inference.queue',
    'inference.context',
    'inference.prompt_tokens',
    'inference.output_tokens',
    'keys.requests_per_minute',
    'keys.tokens_per_minute',
    'keys.bytes_per_minute',
    'keys.streams',
    'keys.tokens_per_day',
    'keys.tokens_per_month',
    'addresses.requests_per_minute',
    'addresses.tokens_per_minute',
    'addresses.streams',
    'addresses.failures_per_minute',
    'addresses.all_failures_per_minute',
    'signing.window_seconds'
  ]
  assert.deepEqual(
    limits.filter(name => !here.includes(name) && !slow.includes(name)),
    []
  )
})

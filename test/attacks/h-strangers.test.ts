/**
 * Class H, without a key: what strangers can take when they have any number of addresses. Every user of a machine has
 * 2^24 of them, every customer of an IPv6 provider has 2^64 and more. A valid key is answered all the same, and nothing
 * grows with the number of addresses.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readEntries } from '../../src/audit/reader.ts'
import type { ServerConfig } from '../../src/server/config.ts'
import { OpenRoutes } from '../../src/server/open-routes.ts'
import { MemoryRateState } from '../../src/store/memory-rate-state.ts'
import { testGateway } from '../gateway-context.ts'
import type { TestGateway } from '../gateway-context.ts'
import { hold } from './hold.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-strangers-'))
const gateways: TestGateway[] = []
after(async () => {
  await Promise.all(gateways.map(g => g.close()))
  rmSync(dir, { recursive: true })
})

/** A gateway that listens, without a model, and a key for it. */
async function listening(
  name: string,
  change: (config: ServerConfig) => void
): Promise<TestGateway & { port: number; key: string }> {
  const gateway = await testGateway(join(dir, name), change)
  gateways.push(gateway)
  const { key } = await gateway.context.store.keys.create({ name: 'one' }, 'cli')
  await gateway.context.drainOutbox()
  await gateway.app.listen({ host: '127.0.0.1', port: 0 })
  return { ...gateway, key: key!, port: (gateway.app.server.address() as AddressInfo).port }
}

test(
  'H10 strangers who hold every connection, from many addresses of this machine, do not keep a valid key from ' +
    'its answer',
  async () => {
    // The 1,024 connections of the default: test/full/held-connections.test.ts
    const g = await listening('held', ({ http }) => Object.assign(http, { connections: 64, connectionsPerAddress: 16 }))
    const headers = { authorization: `Bearer ${g.key}`, connection: 'close' }
    for (const how of ['health', 'silent', 'headers'] as const) {
      using held = hold(g.port, 16, 4, how)
      for (let i = 0; held.open < 48; i++) await sleep(10)
      for (let i = 0; i < 10; i++) {
        const answer = await fetch(`http://127.0.0.1:${g.port}/v1/models`, { headers })
        assert.deepEqual([answer.status, (await answer.text()).length > 0], [200, true], `${how}, request ${i + 1}`)
      }
    }
  }
)

test(
  'H10 what needs no key is answered however often it is asked; beyond the rate of its address the connection ' +
    'ends, and others go on',
  async () => {
    const g = await listening('asked', ({ addresses }) => Object.assign(addresses, { requestsPerMinute: 100 }))
    const flood = await new Promise<string>(resolve => {
      const socket = connect(g.port, '127.0.0.1').on('error', () => undefined)
      let text = ''
      socket
        .setEncoding('latin1')
        .on('data', (chunk: string) => void (text += chunk))
        .once('close', () => resolve(text))
      const question = 'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'
      socket.write(question.repeat(60))
      socket.once('data', () => socket.write(question.repeat(60)))
    })
    const answers = flood.split('HTTP/1.1 503').length - 1
    assert.ok(answers >= 100 && answers < 120, `${answers} answers`)
    assert.match(flood.slice(-500), /connection: close/i)
    const health = await fetch(`http://127.0.0.1:${g.port}/health`)
    assert.deepEqual(
      [health.status, await health.json()],
      [503, { status: 'loading' }],
      'a check from the same address is told the truth'
    )
    const models = await fetch(`http://127.0.0.1:${g.port}/v1/models`, {
      headers: { authorization: `Bearer ${g.key}` }
    })
    assert.equal(models.status, 200)
    assert.match(await g.context.metrics.text(), /^verit_open_limited_total [1-9]/m)
  }
)

test('H11 nothing grows with the number of unauthenticated addresses: every structure has a bound', async () => {
  const gateway = await listening('grown', config => {
    Object.assign(config.addresses, { requestsPerMinute: 5, failuresPerMinute: 3, allFailuresPerMinute: 40 })
    Object.assign(config.http, { connections: 8, connectionsPerAddress: 8 })
    config.listen.trustedProxies = ['127.0.0.0/8']
  })
  const { app, context, audit, lines } = gateway
  const open = new OpenRoutes(context, undefined)
  const address = (i: number): string =>
    i % 2 === 0 ? `2001:${(i % 977).toString(16)}:${i.toString(16)}::1` : `${1 + (i % 100)}.${i >> 8}.${i & 255}.9`
  const REQUESTS = 300
  const [entries, already] = [audit.size, lines.length]

  const sockets = Array.from({ length: 40 }, () => connect(gateway.port, '127.0.0.1').on('error', () => undefined))
  await Promise.all(sockets.map(s => new Promise(resolve => void s.once('connect', resolve).once('close', resolve))))
  for (let i = 0; i < REQUESTS; i++) {
    await app.inject({
      url: '/v1/models',
      headers: { host: 'localhost', authorization: `Bearer ${i}` },
      remoteAddress: address(i)
    })
    const raw = {
      url: '/health',
      method: 'GET',
      httpVersion: '1.1',
      headers: {},
      rawHeaders: [],
      socket: { remoteAddress: address(i) }
    }
    const response = { writeHead: () => undefined, end: () => undefined }
    open.answer(raw as unknown as IncomingMessage, response as unknown as ServerResponse)
  }
  const series = (await context.metrics.text()).split('\n').filter(line => line.startsWith('verit_requests_total{'))
  await context.refusals.summarize(Infinity)

  /** What it is called in docs/reference/limits.md, how large it is now, and the most that it may be. */
  const structures: readonly (readonly [string, number, number])[] = [
    ['entries of the audit log', audit.size - entries, 40 + 101],
    ['lines of the log', lines.length - already, 40 + 1],
    ['rate-limit buckets', (context.rates as MemoryRateState).names, 5 * 64 * 4 + 8],
    ['buckets of routes without a key', open.buckets, 10_000],
    ['sources of refusals', context.refusals.sources, 20_001],
    ['connections, their groups, handshakes under way', gateway.transport.counts.open, 8],
    ['series of metrics', series.length, 4]
  ]
  sockets.forEach(s => s.destroy())
  for (const [what, size, most] of structures) assert.ok(size <= most, `${what}: ${size}, at most ${most}`)
  const page = readFileSync(new URL('../../docs/reference/limits.md', import.meta.url), 'utf8')
  const listed = /## What strangers can make grow[^]*?\n\|---.*\n([^]*?)\n\n/
    .exec(page)![1]!
    .split('\n')
    .map(row => row.split('|')[1]!.trim())
  assert.deepEqual(
    structures.map(([what]) => what),
    listed
  )
})

test('H11 every refusal is counted: entries and summaries add up to all of them', async () => {
  const gateway = await listening('counted', ({ addresses }) => Object.assign(addresses, { requestsPerMinute: 100 }))
  const { app, audit, context } = gateway
  const entries = audit.size
  const statuses = new Map<number, number>()
  for (let i = 0; i < 400; i++) {
    const { statusCode } = await app.inject({
      url: '/v1/models',
      headers: { host: 'localhost', authorization: 'Bearer x' }
    })
    statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1)
  }
  assert.ok(statuses.get(401)! >= 100 && statuses.get(429)! > 200, JSON.stringify([...statuses]))
  const own = audit.size - entries
  await context.refusals.summarize(Infinity)
  assert.deepEqual([own, audit.size - entries], [30, 31])
  const summaries = [...readEntries(join(dir, 'counted', 'audit'))]
    .map(({ entry }) => entry)
    .filter(e => e?.type === 'auth.summary')
  assert.deepEqual(
    summaries.map(({ remote, refused }) => ({ remote, refused })),
    [{ remote: 'loopback', refused: 370 }]
  )
})

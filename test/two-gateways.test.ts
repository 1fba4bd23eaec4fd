/**
 * Two gateways on one PostgreSQL and one Valkey or Redis: one key, one budget, one rate, one revocation, each nonce
 * once. The clock of the second is an hour ahead: the database's counts.
 */
// long: it starts a database and two servers, and stops them
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { after, before, test } from 'node:test'
import { newKeyPair } from '../src/client/index.ts'
import { signerOf } from '../src/client/key-file.ts'
import type { KeyLimits } from '../src/store/key-store.ts'
import { openStore } from '../src/store/open-store.ts'
import type { Store } from '../src/store/store.ts'
import { signRequest } from '../src/trust/request-profile.ts'
import { startPostgres } from './postgres.ts'
import type { Postgres } from './postgres.ts'
import { killServers, servedWith, tinyModel } from './served.ts'
import type { Served } from './served.ts'
import { Valkey, noValkey } from './valkey.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-two-'))
let postgres: Postgres
let valkey: Valkey | undefined
let store: Store
let gateways: [Served, Served]
before(async () => {
  const model = await tinyModel(dir, 1 << 15)
  postgres = await startPostgres()
  const databaseUrl = await postgres.createDatabase()
  valkey = noValkey === false ? await Valkey.start() : undefined
  const config = join(dir, 'verit.toml')
  writeFileSync(config, '[addresses]\nrequests_per_minute = 0\n[inference]\nparallel = 8\n', { mode: 0o600 })
  const states = ['a', 'b'].map(name => join(dir, name))
  store = await openStore({ stateFolder: states[0]!, databaseUrl })
  mkdirSync(states[1]!, { mode: 0o700 })
  copyFileSync(join(states[0]!, 'secret'), join(states[1]!, 'secret')) // gateways of one database share its secret
  const env = { VERIT_DATABASE_URL: databaseUrl, ...(valkey !== undefined && { VERIT_RATE_URL: valkey.url }) }
  const clock = join(dir, 'clock')
  writeFileSync(clock, String(3_600_000))
  const preload = pathToFileURL(join(import.meta.dirname, 'shifted-clock.ts')).href
  const ahead = { ...env, VERIT_TEST_CLOCK: clock, NODE_OPTIONS: `--import=${preload}` }
  const start = (own: Record<string, string>, state: string): Promise<Served> =>
    servedWith(own, model, state, '--config', config)
  gateways = [await start(env, states[0]!), await start(ahead, states[1]!)]
})
after(async () => {
  killServers()
  await store.close()
  await valkey?.kill()
  await postgres.stop()
  rmSync(dir, { recursive: true })
})

const make = async (limits: KeyLimits): Promise<{ id: string; key: string }> => {
  const { record, key } = await store.keys.create({ name: 'shared', limits }, 'cli')
  return { id: record.id, key: key! }
}
const ask = (i: number, key: string, body: object): Promise<Response> =>
  fetch(`${gateways[i % 2]!.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: [1], ignore_eos: true, ...body })
  })
const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as { error: { code: string } }).error.code

test('one budget is held by both together', async () => {
  const { id, key } = await make({ tokensPerDay: 200, streams: 1000, requestsPerMinute: 100_000 })
  const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => ask(i, key, { max_tokens: 9 })))
  const tokens = await Promise.all(
    answers
      .filter(a => a.status === 200)
      .map(async a => ((await a.json()) as { usage: { total_tokens: number } }).usage.total_tokens)
  )
  assert.ok(answers.every(a => a.status === 200 || a.status === 429))
  const total = tokens.reduce((a, b) => a + b, 0)
  assert.ok(total > 0 && total <= 200, `${total} of 200`)
  const { day } = await store.budgets.usage(id, new Date())
  assert.deepEqual(day, { used: total, reserved: 0 })
})

test('one rate, and one number of streams, is held by both together', { skip: noValkey }, async () => {
  const { key } = await make({ requestsPerMinute: 10 })
  const statuses = (await Promise.all(Array.from({ length: 30 }, (_, i) => ask(i, key, { max_tokens: 1 })))).map(
    a => a.status
  )
  const allowed = statuses.filter(s => s === 200).length
  assert.ok(allowed >= 10 && allowed <= 11, `${allowed} of 10 in a minute`) // one more where 6 s have passed
  const few = await make({ streams: 2, requestsPerMinute: 1000 })
  const leave = new AbortController()
  const open = await Promise.all(
    [0, 1].map(i =>
      fetch(`${gateways[i]!.url}/v1/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${few.key}`, 'content-type': 'application/json' },
        signal: leave.signal,
        body: JSON.stringify({ prompt: [1], ignore_eos: true, max_tokens: 30_000, stream: true })
      })
    )
  )
  assert.deepEqual(
    open.map(o => o.status),
    [200, 200]
  )
  for (const i of [0, 1]) {
    const refused = await ask(i, few.key, { max_tokens: 1 })
    assert.deepEqual([refused.status, await codeOf(refused)], [429, 'VERIT_TOO_MANY'])
  }
  leave.abort()
  await Promise.allSettled(open.map(o => o.text()))
})

test('a key that is revoked ends its open streams at both; a signature is good at one of them only', async () => {
  const { id, key } = await make({})
  const open = await Promise.all([0, 1].map(i => ask(i, key, { max_tokens: 30_000, stream: true })))
  await store.keys.revoke(id, 'cli')
  for (const text of await Promise.all(open.map(o => o.text()))) {
    assert.match(text, /VERIT_UNAUTHORIZED/)
    assert.doesNotMatch(text, /\[DONE\]/)
  }
  const pair = newKeyPair()
  const { credentialId } = await store.keys.create({ name: 'pop', kind: 'ed25519', public: pair.publicKey }, 'cli')
  const signer = signerOf({ kind: 'ed25519', keyid: credentialId, privateKey: pair.privateKey })
  // behind one name, so that the same request would do for either
  const unsigned = { method: 'GET', authority: 'localhost', path: '/v1/models', headers: {} }
  const sign = (): Record<string, string> => signRequest(unsigned, signer).headers
  const send = ({ url }: Served, headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(url)
      const options = { hostname, port, path: '/v1/models', headers: { ...headers, host: 'localhost' } }
      request(options, r => resolve(r.resume().statusCode!))
        .on('error', reject)
        .end()
    })
  for (const [first, second] of [gateways, gateways.toReversed()] as [Served, Served][]) {
    const headers = sign()
    assert.deepEqual([await send(first, headers), await send(second, headers)], [200, 401])
  }
})

test('without the database both refuse, and both come back with it', async () => {
  const { key } = await make({})
  await postgres.kill()
  for (const i of [0, 1]) assert.equal((await ask(i, key, { max_tokens: 1 })).status, 503)
  await postgres.start()
  for (const i of [0, 1]) {
    for (let tries = 0; tries < 50 && (await ask(i, key, { max_tokens: 1 })).status !== 200; tries++)
      await new Promise(resolve => setTimeout(resolve, 100))
    assert.equal((await ask(i, key, { max_tokens: 1 })).status, 200)
  }
})

/**
 * Keys over HTTP: what an admin can do, what others cannot, and that each change is in the audit log when the answer
 * comes.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { testGateway } from '../../test/gateway-context.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-admin-'))
const gateway = await testGateway(join(dir, 'state'))
const { keys } = gateway.context.store
const admin = await keys.create({ name: 'admin', scopes: ['admin'] }, 'cli')
after(async () => {
  await gateway.close()
  rmSync(dir, { recursive: true })
})

type Shown = Record<string, unknown> & {
  id: string
  key?: string
  credential?: string
  error?: { code: string; param: string | null }
}
type Method = 'GET' | 'POST' | 'PATCH'
async function ask(
  method: Method,
  url: string,
  body?: unknown,
  key = admin.key!
): Promise<{ status: number; body: Shown }> {
  const response = await gateway.app.inject({
    method,
    url,
    headers: {
      host: 'localhost',
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'content-type': 'application/json' })
    },
    ...(body !== undefined && { payload: JSON.stringify(body) })
  })
  return { status: response.statusCode, body: response.json() }
}
const entries = (): string =>
  readFileSync(join(dir, 'state/audit', gateway.audit.size > 256 ? 'tile/entries/000' : 'tile/entries/000.open'), {
    encoding: 'utf8'
  })

test('a key is made, shown, changed, rotated and revoked, and works or does not work accordingly', async () => {
  const made = await ask('POST', '/v1/admin/keys', {
    name: 'app',
    owner: 'team',
    scopes: ['models'],
    models: ['m'],
    addresses: ['127.0.0.0/8'],
    limits: { requests_per_minute: 100, tokens_per_day: 5000 }
  })
  assert.equal(made.status, 200, JSON.stringify(made.body))
  const { id, key } = made.body
  assert.equal((await ask('GET', '/v1/models', undefined, key)).status, 200)

  const { body: shown } = await ask('GET', `/v1/admin/keys/${id}`)
  assert.deepEqual(
    [shown['name'], shown['owner'], shown['limits'], shown.key],
    ['app', 'team', { requests_per_minute: 100, tokens_per_day: 5000 }, undefined]
  )
  assert.deepEqual((shown['usage'] as { day: object }).day, { used: 0, reserved: 0 })
  const { body: list } = await ask('GET', '/v1/admin/keys')
  assert.ok((list['data'] as Shown[]).some(k => k.id === id))
  assert.doesNotMatch(JSON.stringify(list), new RegExp(key!))

  const changed = await ask('PATCH', `/v1/admin/keys/${id}`, { scopes: ['infer'] })
  assert.deepEqual([changed.status, changed.body['scopes']], [200, ['infer']])
  assert.equal((await ask('GET', '/v1/models', undefined, key)).status, 403)
  await ask('PATCH', `/v1/admin/keys/${id}`, { scopes: ['models'] })

  const rotated = await ask('POST', `/v1/admin/keys/${id}/rotate`, { overlap_seconds: 60 })
  assert.equal(rotated.body.credential, `${id}.2`)
  for (const k of [key, rotated.body.key]) assert.equal((await ask('GET', '/v1/models', undefined, k)).status, 200)
  await ask('POST', `/v1/admin/keys/${id}/rotate`, { overlap_seconds: 0 })
  for (const k of [key, rotated.body.key]) assert.equal((await ask('GET', '/v1/models', undefined, k)).status, 401)

  const revoked = await ask('POST', `/v1/admin/keys/${id}/revoke`)
  assert.deepEqual([revoked.status, typeof revoked.body['revoked']], [200, 'string'])
  const log = entries()
  for (const event of ['key.create', 'key.change', 'key.rotate', 'key.revoke'])
    assert.match(log, new RegExp(`"actor":"${admin.record.id}"[^}]*.*"event":"${event}"`))
  assert.ok(!log.includes(key!))
})

test('mistakes name the field; unknown keys are 404; nobody without the scope gets in', async () => {
  const cases: [unknown, string | null][] = [
    [{}, 'name'],
    [{ name: '' }, 'name'],
    [{ name: 'x', scope: ['infer'] }, 'scope'],
    [{ name: 'x', scopes: ['root'] }, 'scopes'],
    [{ name: 'x', limits: { streams: 0 } }, 'limits'],
    [{ name: 'x', kind: 'ed25519', public_key: 'not a key' }, 'public_key'],
    [{ name: 'x', signing: 'maybe' }, 'signing']
  ]
  for (const [body, field] of cases) {
    const {
      status,
      body: { error }
    } = await ask('POST', '/v1/admin/keys', body)
    assert.deepEqual([status, error!.code, error!.param], [400, 'VERIT_REQUEST', field], JSON.stringify(body))
  }
  assert.equal((await ask('POST', '/v1/admin/keys', { name: 'x', addresses: ['10.0.0.0/99'] })).status, 400)
  assert.equal((await ask('POST', '/v1/admin/keys', { name: 'x', expires: '2001-01-01T00:00:00Z' })).status, 400)
  for (const [method, url] of [
    ['GET', ''],
    ['PATCH', ''],
    ['POST', '/rotate'],
    ['POST', '/revoke']
  ] as [Method, string][]) {
    assert.equal(
      (
        await ask(
          method,
          `/v1/admin/keys/key_000000000000${url}`,
          url === '/revoke' || method === 'GET' ? undefined : {}
        )
      ).status,
      404,
      `${method} ${url}`
    )
  }
  const other = await keys.create({ name: 'no admin', scopes: ['infer', 'models', 'audit', 'metrics'] }, 'cli')
  assert.equal((await ask('GET', '/v1/admin/keys', undefined, other.key)).status, 403)
  assert.equal((await ask('POST', '/v1/admin/keys', { name: 'mine', scopes: ['admin'] }, other.key)).status, 403)
})

test('a proof-of-possession key is registered by its public half, and gives no secret', async () => {
  const { publicKey } = generateKeyPairSync('ed25519')
  const { status, body } = await ask('POST', '/v1/admin/keys', {
    name: 'pop',
    kind: 'ed25519',
    public_key: publicKey.export({ format: 'pem', type: 'spki' })
  })
  assert.deepEqual(
    [status, body.key, body['signing'], body.credential],
    [200, undefined, 'required', `${body.id}.1`],
    JSON.stringify(body)
  )
})

test('the checkpoint of the audit log and the metrics are there for those who may read them', async () => {
  const auditor = await keys.create({ name: 'auditor', scopes: ['audit', 'metrics'] }, 'cli')
  const get = (url: string, key: string) =>
    gateway.app.inject({ url, headers: { host: 'localhost', authorization: `Bearer ${key}` } })
  const checkpoint = await get('/v1/audit/checkpoint', auditor.key!)
  assert.match(checkpoint.body, new RegExp(`^${gateway.audit.origin}\n\\d+\n`))
  const metrics = await get('/metrics', auditor.key!)
  assert.match(metrics.body, /verit_requests_total\{route="GET \/v1\/audit\/checkpoint",status="\d+"\} 1/)
  for (const { id } of await keys.list()) assert.ok(!metrics.body.includes(id))
  for (const url of ['/v1/audit/checkpoint', '/metrics']) assert.equal((await get(url, admin.key!)).statusCode, 403)
})

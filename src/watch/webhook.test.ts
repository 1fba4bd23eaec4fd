import assert from 'node:assert/strict'
import { createHmac, createPublicKey, randomBytes, verify } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { createLog } from '../lib/log.ts'
import type { Alert } from './observation.ts'
import { Webhook } from './webhook.ts'
import { webhookPublicKey, webhookSigner } from './webhook-secret.ts'

const alert: Alert = {
  keyId: 'key_0123456789ab',
  rule: 'sweep',
  message: 'A key tries',
  detail: { settings: 24, seeds: 0 },
  at: Date.UTC(2026, 10, 22)
}
const secret = `whsec_${randomBytes(32).toString('base64')}`

interface Got {
  path: string
  headers: IncomingMessage['headers']
  body: string
}

/** A receiver that answers as told, and the webhook that sends to it; `results` are what the webhook reports. */
async function receiver(
  t: TestContext,
  answer: (response: ServerResponse, n: number) => void,
  more: { secrets?: string[]; timeoutMs?: number } = {}
) {
  const got: Got[] = []
  const server = createServer((request, response) => {
    let body = ''
    request
      .setEncoding('utf8')
      .on('data', (chunk: string) => (body += chunk))
      .on('end', () => {
        got.push({ path: request.url!, headers: request.headers, body })
        answer(response, got.length)
      })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const results: string[] = []
  const waiting: (() => void)[] = []
  let log = ''
  const webhook = new Webhook({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/secret-path`,
    signers: (more.secrets ?? [secret]).map(webhookSigner),
    log: createLog({ json: true, stream: { write: (text: string) => (log += text) } }),
    retryMs: [1, 1, 1],
    timeoutMs: more.timeoutMs ?? 5000,
    onResult: result => {
      results.push(result)
      waiting.splice(0).forEach(wake => wake())
    }
  })
  t.after(() => {
    webhook.close()
    server.closeAllConnections()
    server.close()
  })
  const settled = async (count: number): Promise<void> => {
    while (results.length < count) await new Promise<void>(resolve => waiting.push(resolve))
  }
  return { webhook, got, results, settled, log: () => log }
}

test('signatures are those that the reference libraries of Standard Webhooks publish', () => {
  const content = 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
  assert.equal(
    webhookSigner('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')(content),
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
  )
  assert.equal(
    webhookSigner('whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=')(content),
    'v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=='
  )
})

test(
  'an alert arrives once, with a body, an id, a time and one signature for each secret that verify ' + 'independently',
  async t => {
    const asymmetric = `whsk_${randomBytes(32).toString('base64')}`
    const second = `whsec_${randomBytes(24).toString('base64')}`
    const { webhook, got, results, settled } = await receiver(t, response => response.writeHead(204).end(), {
      secrets: [secret, second, asymmetric]
    })
    webhook.send(alert)
    await settled(1)
    assert.deepEqual(results, ['sent'])
    const { headers, body } = got[0]!
    const { at, ...data } = alert
    assert.deepEqual(JSON.parse(body), { type: 'verit.alert', timestamp: new Date(at).toISOString(), data })
    assert.equal(headers['content-type'], 'application/json')
    assert.match(headers['webhook-id'] as string, /^msg_[0-9a-f-]{36}$/)
    assert.ok(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000) < 60)
    const content = Buffer.from(`${headers['webhook-id'] as string}.${headers['webhook-timestamp'] as string}.${body}`)
    const signatures = (headers['webhook-signature'] as string).split(' ')
    const hmac = (text: string): string =>
      `v1,${createHmac('sha256', Buffer.from(text.slice(6), 'base64'))
        .update(content)
        .digest('base64')}`
    assert.deepEqual(signatures.slice(0, 2), [hmac(secret), hmac(second)])
    const x = Buffer.from(webhookPublicKey(asymmetric).slice(5), 'base64').toString('base64url')
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    assert.ok(verify(null, content, key, Buffer.from(signatures[2]!.slice(4), 'base64')))
  }
)

test('a receiver that fails, hangs or hangs up gets the same message again under the same id', async t => {
  const { webhook, got, results, settled } = await receiver(
    t,
    (response, n) => {
      if (n === 1) response.writeHead(500).end('x'.repeat(100_000))
      else if (n === 2) response.destroy()
      else if (n === 4) response.writeHead(200).end() // the third hangs
    },
    { timeoutMs: 200 }
  )
  webhook.send(alert)
  await settled(1)
  assert.deepEqual(results, ['sent'])
  assert.equal(got.length, 4)
  assert.equal(new Set(got.map(g => g.headers['webhook-id'])).size, 1)
  assert.equal(new Set(got.map(g => g.body)).size, 1)
})

test('a redirect is not followed, a missing receiver is given up, and the log does not hold the path', async t => {
  const { webhook, got, results, settled, log } = await receiver(t, (response, n) => {
    if (n <= 4) response.writeHead(307, { location: '/elsewhere' }).end()
    else response.writeHead(410).end()
  })
  webhook.send(alert)
  await settled(1)
  assert.deepEqual([results, got.length], [['failed'], 4])
  webhook.send(alert)
  await settled(2)
  assert.deepEqual([results, got.length], [['failed', 'failed'], 5])
  assert.ok(got.every(g => g.path === '/hook/secret-path'))
  assert.match(log(), /status 307/)
  assert.ok(!log().includes('secret-path'))
})

test('at most 100 alerts wait: the oldest make way and are counted; what waits at the end is dropped', async t => {
  const { webhook, results } = await receiver(t, () => undefined)
  for (let i = 0; i < 130; i++) webhook.send({ ...alert, detail: { i } })
  assert.equal(results.length, 30)
  webhook.close()
  assert.equal(results.length, 130)
  assert.ok(results.every(r => r === 'dropped'))
})

test('a secret of the wrong kind, length or alphabet, or none, is refused without being repeated', () => {
  const bad = [
    '',
    'hunter2hunter2',
    'whsec_',
    `whsec_${randomBytes(23).toString('base64')}`,
    `whsec_${randomBytes(65).toString('base64')}`,
    `whsec_${'ä'.repeat(40)}`,
    `whsk_${randomBytes(31).toString('base64')}`,
    `whpk_${randomBytes(32).toString('base64')}`,
    `whsec_${randomBytes(32).toString('base64url')}-_`
  ]
  for (const text of bad)
    assert.throws(
      () => webhookSigner(text),
      e => VeritError.is(e, 'VERIT_CONFIG') && (text.length < 8 || !e.message.includes(text.slice(6))),
      text
    )
  assert.throws(
    () => new Webhook({ url: 'http://127.0.0.1:1', signers: [], log: createLog(), onResult: () => undefined }),
    e => VeritError.is(e, 'VERIT_CONFIG')
  )
})

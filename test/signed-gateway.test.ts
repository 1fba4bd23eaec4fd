/**
 * Signed requests and answers between the real `verit serve`, `verit keys`, `verit call` and the OpenAI SDK over
 * verit/client.
 */
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import OpenAI from 'openai'
import { newKeyPair, veritFetch } from '../src/client/index.ts'
import { verit } from './cli.ts'
import { killServers, served, tinyModel } from './served.ts'
import type { Served } from './served.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-signed-'))
const state = join(folder, 'state')
const keyFiles = { ed25519: join(folder, 'ed25519.json'), hmac: join(folder, 'hmac.json') }
let server: Served
let serverKey: string

before(async () => {
  const model = await tinyModel(folder)
  for (const own of [
    ['pair', '--kind', 'ed25519'],
    ['hmac', '--signing', 'required']
  ]) {
    const [name, ...kind] = own
    const keyFile = name === 'hmac' ? keyFiles.hmac : keyFiles.ed25519
    const { status, stderr } = await verit([
      'keys',
      'create',
      '--name',
      name!,
      ...kind,
      '--key-file',
      keyFile,
      '--state',
      state
    ])
    assert.equal(status, 0, stderr)
  }
  server = await served(model, state)
  serverKey = createPublicKey(createPrivateKey(readFileSync(join(state, 'server-key.pem'))))
    .export({ format: 'pem', type: 'spki' })
    .toString()
})
after(() => {
  killServers()
  rmSync(folder, { recursive: true, force: true })
})

for (const [name, keyFile] of Object.entries(keyFiles)) {
  test(
    `the OpenAI SDK asks with signatures (${name}) and gets answers that the server signed, whole and ` + 'streamed',
    async () => {
      const client = new OpenAI({
        baseURL: `${server.url}/v1`,
        apiKey: 'unused',
        maxRetries: 0,
        fetch: veritFetch({ keyFile, serverKey })
      })
      const models = await client.models.list()
      const model = models.data[0]!.id
      const request = { model, prompt: 'Hello', max_tokens: 8, seed: 1, temperature: 0 } as const
      const whole = await client.completions.create(request)
      let text = ''
      for await (const chunk of await client.completions.create({ ...request, stream: true }))
        text += chunk.choices[0]?.text ?? ''
      assert.equal(text, whole.choices[0]!.text)
      const messages = [{ role: 'user' as const, content: 'Hello' }]
      const conversation = { model, messages, max_completion_tokens: 12, seed: 3 }
      const reply = await client.chat.completions.create(conversation)
      const chunks = await Array.fromAsync(await client.chat.completions.create({ ...conversation, stream: true }))
      assert.equal(chunks.map(c => c.choices[0]?.delta.content ?? '').join(''), reply.choices[0]!.message.content)
      await assert.rejects(client.chat.completions.create({ ...conversation, model: 'other' }), OpenAI.NotFoundError)
      await assert.rejects(client.models.retrieve('no-such'), /404/)
    }
  )
}

test('verit call asks and checks from the command line', async () => {
  const options = ['--url', server.url, '--key-file', keyFiles.ed25519, '--server-key', serverKey]
  const { stdout } = await verit(['call', '/v1/models', '--json', ...options])
  assert.equal((JSON.parse(stdout) as { object: string }).object, 'list')
  const stream = await verit([
    'call',
    '/v1/completions',
    '--data',
    '{"prompt":"Hello","max_tokens":4,"stream":true}',
    ...options
  ])
  assert.match(stream.stdout, /data: \[DONE\]\n\n$/)
})

test('a request is accepted once, and only by whom and as it was signed', async () => {
  let sent: Parameters<typeof fetch> | undefined
  const spy: typeof fetch = (...call) => {
    sent = call
    return fetch(...call)
  }
  const signed = veritFetch({ keyFile: keyFiles.ed25519, fetch: spy })
  const json = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"prompt":"Hello","max_tokens":1}'
  }
  assert.equal((await signed(`${server.url}/v1/completions`, json)).status, 200)
  const [url, init] = sent!
  const again = await fetch(url, init)
  assert.equal(again.status, 401)
  assert.match(await again.text(), /nonce/)
  const headers = new Headers(init!.headers)
  for (const change of [{ body: '{"prompt":"Hello","max_tokens":2}' }, { method: 'PUT' }])
    assert.notEqual((await fetch(url, { ...init, ...change })).status, 200)
  headers.set('authorization', 'Bearer verit_x')
  assert.equal((await fetch(url, { ...init, headers })).status, 401)
})

test('a key that must sign is not accepted as a bearer, and another key cannot sign for it', async () => {
  const { key } = JSON.parse(readFileSync(keyFiles.hmac, 'utf8')) as { key: string }
  const { keyid } = JSON.parse(readFileSync(keyFiles.ed25519, 'utf8')) as { keyid: string }
  const refused = async (response: Response): Promise<unknown> => [
    response.status,
    ((await response.json()) as { error: { code: string } }).error.code
  ]
  const bearer = await fetch(`${server.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
  assert.deepEqual(await refused(bearer), [401, 'VERIT_UNAUTHORIZED'])
  const stranger = veritFetch({ keyFile: { kind: 'ed25519', keyid, privateKey: newKeyPair().privateKey } })
  assert.deepEqual(await refused(await stranger(`${server.url}/v1/models`)), [401, 'VERIT_SIGNATURE'])
})

test("an answer of another server is not taken for this one's", async () => {
  const other = newKeyPair().publicKey.toString('base64')
  const response = veritFetch({ keyFile: keyFiles.ed25519, serverKey: other })(`${server.url}/v1/models`)
  await assert.rejects(response, { code: 'VERIT_ANSWER' })
})

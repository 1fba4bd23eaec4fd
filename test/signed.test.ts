/** Signed requests and answers between a real `verit serve` and the real `openai` client; replays after a restart; keys that must sign. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import OpenAI from 'openai'
import { newKeyPair, veritFetch } from '../src/client/index.ts'
import type { KeyFile } from '../src/client/index.ts'
import { signerOf } from '../src/client/key-file.ts'
import { serverKey } from '../src/server/server-key.ts'
import { openStore } from '../src/store/open-store.ts'
import { ed25519ToSpki } from '../src/trust/ed25519.ts'
import { signRequest } from '../src/trust/request-profile.ts'
import { killServers, served, tinyModel } from './served.ts'
import type { Served } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-signed-'))
const state = join(dir, 'state')
let model = ''
let server: Served
let pop: KeyFile
let hmac: KeyFile
let secret = ''
let publicKey = ''
before(async () => {
  model = await tinyModel(dir)
  const store = await openStore({ stateFolder: state })
  const pair = newKeyPair()
  const a = await store.keys.create({ name: 'pop', kind: 'ed25519', public: pair.publicKey }, 'cli')
  pop = { kind: 'ed25519', keyid: a.credentialId, privateKey: pair.privateKey }
  const b = await store.keys.create({ name: 'hmac', signing: 'required' }, 'cli')
  secret = b.key!
  hmac = { kind: 'hmac-sha256', keyid: b.credentialId, key: secret }
  await store.close()
  server = await served(model, state)
  publicKey = ed25519ToSpki(serverKey(state).privateKey).toString('base64')
})
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})

const clientOf = (keyFile: KeyFile, apiKey = 'unused'): OpenAI =>
  new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0, fetch: veritFetch({ keyFile, serverKey: publicKey }) })
const messages = [{ role: 'user' as const, content: 'Hello' }]

test('the openai client works with a proof-of-possession key, and with a signing secret: lists, whole answers and streams, all checked to come from the server', async () => {
  for (const keyFile of [pop, hmac]) {
    const client = clientOf(keyFile)
    assert.deepEqual((await client.models.list()).data.map(m => m.id), ['tiny'])
    const whole = await client.chat.completions.create({ model: 'tiny', messages, max_completion_tokens: 12, seed: 3 })
    const chunks = await Array.fromAsync(await client.chat.completions.create({ model: 'tiny', messages, max_completion_tokens: 12, seed: 3, stream: true }))
    assert.equal(chunks.map(c => c.choices[0]?.delta.content ?? '').join(''), whole.choices[0]!.message.content)
    await assert.rejects(client.chat.completions.create({ model: 'other', messages }), (e: unknown) => e instanceof OpenAI.NotFoundError)
  }
})

test('a key that must sign is not accepted as a bearer, and another key cannot sign for it', async () => {
  const bearer = await fetch(`${server.url}/v1/models`, { headers: { authorization: `Bearer ${secret}` } })
  assert.deepEqual([bearer.status, (await bearer.json() as { error: { code: string } }).error.code], [401, 'VERIT_UNAUTHORIZED'])
  const stranger: KeyFile = { kind: 'ed25519', keyid: pop.keyid, privateKey: newKeyPair().privateKey }
  const unchecked = veritFetch({ keyFile: stranger })
  const response = await unchecked(`${server.url}/v1/models`)
  assert.deepEqual([response.status, (await response.json() as { error: { code: string } }).error.code], [401, 'VERIT_SIGNATURE'])
})

test('a request is good once: not again, not after a restart, not after a kill', async () => {
  const send = (headers: Record<string, string>): Promise<number> => fetch(`${server.url}/v1/models`, { headers }).then(r => r.status)
  const sign = (): Record<string, string> =>
    signRequest({ method: 'GET', authority: new URL(server.url).host, path: '/v1/models', headers: {} }, signerOf(pop)).headers
  const port = new URL(server.url).port
  const first = sign()
  assert.deepEqual([await send(first), await send(first)], [200, 401])
  await server.stop()
  server = await served(model, state, '--port', port)
  assert.equal(await send(first), 401)
  const second = sign()
  assert.equal(await send(second), 200)
  server.process.kill('SIGKILL')
  while (server.process.signalCode === null) await new Promise(resolve => setTimeout(resolve, 5))
  server = await served(model, state, '--port', port)
  assert.deepEqual([await send(second), await send(sign())], [401, 200])
})

test('an answer of another server is not taken for this one\'s', async () => {
  const other = ed25519ToSpki(serverKey(join(dir, 'elsewhere')).privateKey).toString('base64')
  await assert.rejects(veritFetch({ keyFile: pop, serverKey: other })(`${server.url}/v1/models`), { code: 'VERIT_ANSWER' })
})

/**
 * What a server does when it is asked for more than it gives: by one key, by all together, for too long, or in pieces
 * that never end.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI from 'openai'
import { newKeyPair, veritFetch } from '../src/client/index.ts'
import type { KeyFile } from '../src/client/index.ts'
import { serverKey } from '../src/server/server-key.ts'
import { openStore } from '../src/store/open-store.ts'
import { ed25519ToSpki } from '../src/trust/ed25519.ts'
import { veritSync } from './cli.ts'
import { killServers, served, tinyModel } from './served.ts'
import type { Served } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-limits-'))
const state = join(dir, 'state')
let server: Served
let other = ''
before(async () => {
  const config = join(dir, 'verit.toml')
  writeFileSync(config, '[http]\nkeep_alive_seconds = 1\n', { mode: 0o600 })
  // Longer than any test: 32,768 positions.
  const limits = ['--parallel', '1', '--queue', '1', '--per-key', '2', '--request-timeout', '2']
  server = await served(await tinyModel(dir, 1 << 15), state, '--config', config, ...limits)
  other = veritSync(['keys', 'create', '--state', state]).stdout.trim()
})
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})

const ask = (key: string, body: object, signal?: AbortSignal): Promise<Response> =>
  fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'x', ignore_eos: true, ...body }),
    ...(signal !== undefined && { signal })
  })
const codeOf = async (response: Response): Promise<string> =>
  ((await response.json()) as { error: { code: string } }).error.code

test(
  'one key gets 429 at its limit, others 503 when the queue is full, both with Retry-After; an answer that ' +
    'takes too long ends with an error',
  async () => {
    const endless = { max_tokens: 1 << 20, stream: true }
    const running = await ask(server.key, endless)
    const leave = new AbortController()
    // whichever comes first waits, the other is refused at once
    const two = [1, 2].map(() => ask(server.key, endless, leave.signal))
    const refused = await Promise.race(two)
    assert.deepEqual(
      [refused.status, refused.headers.get('retry-after'), await codeOf(refused)],
      [429, '1', 'VERIT_TOO_MANY']
    )
    const busy = await ask(other, { max_tokens: 1 })
    assert.deepEqual([busy.status, busy.headers.get('retry-after'), await codeOf(busy)], [503, '2', 'VERIT_BUSY'])
    leave.abort()
    await Promise.allSettled(two)
    const events = (await running.text()).trim().split('\n\n')
    assert.match(events.at(-1)!, /VERIT_TIMEOUT/)
    assert.doesNotMatch(events.join(''), /\[DONE\]/)
    const next = await ask(other, { max_tokens: 1 })
    assert.equal(next.status, 200)
    const slow = await ask(other, { max_tokens: 1 << 20 })
    assert.deepEqual([slow.status, await codeOf(slow)], [504, 'VERIT_TIMEOUT'])
  }
)

/** Takes the only place until the signal comes, or its time is up. */
const takePlace = (key: string, signal?: AbortSignal): Promise<Response> =>
  ask(key, { max_tokens: 1 << 20, stream: true }, signal)

test('a stream that waits gets its head and comments, then its answer, signed, or its error as an event', async () => {
  const store = await openStore({ stateFolder: state })
  const pair = newKeyPair()
  const options = { name: 'signer', kind: 'ed25519', public: pair.publicKey } as const
  const { credentialId, record } = await store.keys.create(options, 'cli')
  const keyFile: KeyFile = { kind: 'ed25519', keyid: credentialId, privateKey: pair.privateKey }
  const signed = veritFetch({ keyFile, serverKey: ed25519ToSpki(serverKey(state).privateKey).toString('base64') })
  let sent = ''
  const client = new OpenAI({
    baseURL: `${server.url}/v1`,
    apiKey: 'unused',
    maxRetries: 0,
    fetch: async (url, init) => {
      const response = await signed(url as string, init as RequestInit)
      const copy = response.clone()
      void copy.text().then(
        text => (sent = text),
        () => undefined
      )
      return response
    }
  })
  const messages = [{ role: 'user' as const, content: 'x' }]
  const request = { model: 'tiny', messages, max_completion_tokens: 3, seed: 1, stream: true as const }

  const leave = new AbortController()
  await takePlace(server.key, leave.signal)
  const waiting = await client.chat.completions.create(request) // resolves with the head, while there is no place
  leave.abort()
  const chunks = await Array.fromAsync(waiting) // fails where the signature does not cover what was sent
  assert.ok(chunks.at(-1)!.choices[0]!.finish_reason !== null)
  while (!sent.includes('[DONE]')) await sleep(5)
  assert.match(sent, /^: keep-alive\n\ndata: /)

  // what fails before the first comment has a status of its own
  await assert.rejects(client.chat.completions.create({ ...request, model: 'other' }), OpenAI.NotFoundError)
  const running = await takePlace(server.key)
  const impatient = new AbortController()
  const inQueue = ask(other, { max_tokens: 1, stream: true }, impatient.signal)
  await sleep(100) // until it waits
  await assert.rejects(client.chat.completions.create(request), { status: 503 })
  impatient.abort()
  await inQueue.catch(() => undefined)
  await running.text()

  const last = await takePlace(server.key)
  const refused = await client.chat.completions.create(request)
  await store.keys.revoke(record.id, 'cli')
  await store.close()
  await assert.rejects(Array.fromAsync(refused), { code: 'VERIT_UNAUTHORIZED' })
  await last.text()
})

test('a key that is revoked while its request waits is refused when its turn comes', async () => {
  const store = await openStore({ stateFolder: state }) // as another process would have it
  const { key, record } = await store.keys.create({ name: 'short' }, 'cli')
  const leave = new AbortController()
  const running = await ask(server.key, { max_tokens: 1 << 20, stream: true }, leave.signal)
  const waiting = ask(key!, { max_tokens: 1 })
  await sleep(100) // until it waits
  await store.keys.revoke(record.id, 'cli')
  await store.close()
  leave.abort()
  await assert.rejects(running.text())
  assert.equal((await waiting).status, 401)
})

test('clients that break off at every byte of a request, or send it byte by byte, disturb nobody', async () => {
  const { port } = new URL(server.url)
  const body = '{"prompt":"x","max_tokens":1}'
  const request =
    `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ` +
    `${server.key}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: ` +
    `close\r\n\r\n${body}`
  const send = async (text: string): Promise<void> => {
    const socket = connect(Number(port), '127.0.0.1').on('error', () => undefined)
    await new Promise<void>(resolve => void socket.write(text, () => resolve()))
    socket.destroy()
  }
  for (let i = 0; i <= request.length; i += 3) await send(request.slice(0, i))

  const socket = connect(Number(port), '127.0.0.1').setNoDelay(true)
  for (const c of request) await new Promise<void>(resolve => void socket.write(c, () => resolve()))
  const answer = Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString()
  assert.match(answer, /^HTTP\/1.1 200 /)
})

test('requests behind one another on a connection are answered in order, the bad one as such', async () => {
  const { port } = new URL(server.url)
  const socket = connect(Number(port), '127.0.0.1')
  const models = `GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${server.key}\r\n`
  socket.write(
    `${models}\r\nGET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HTTP/1.1\r\nHost: ` +
      `localhost\r\n\r\n${models}Connection: close\r\n\r\n`
  )
  const answer = Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>)).toString()
  assert.deepEqual(answer.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 401', 'HTTP/1.1 200', 'HTTP/1.1 200'])
})

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { signedServer } from '../../test/signed-server.ts'
import type { SignedServerOptions } from '../../test/signed-server.ts'
import { VeritError } from '../lib/errors.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { ed25519ToSpki } from '../trust/ed25519.ts'
import { signingSecret } from '../trust/signing-secret.ts'
import { newKeyPair, readKeyFile, veritFetch, writeKeyFile } from './index.ts'
import type { KeyFile } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-client-'))
after(() => rmSync(folder, { recursive: true }))
const keyid = 'key_0123456789ab.1'
const pair = newKeyPair()
const ed25519: KeyFile = { kind: 'ed25519', keyid, privateKey: pair.privateKey }
const hmac: KeyFile = { kind: 'hmac-sha256', keyid, key: 'verit_test' }
const credential = { publicKey: pair.publicKey, signingSecret: undefined }
const json = (body: unknown): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body)
})
const rejected = (promise: Promise<unknown>, code: ErrorCode, problem: RegExp): Promise<void> =>
  assert.rejects(promise, e => VeritError.is(e, code) && problem.test(e.message))
const serve = (options: SignedServerOptions = {}): ReturnType<typeof signedServer> =>
  signedServer({ credential, ...options })

for (const [name, keyFile, credentials] of [
  ['an Ed25519 key', ed25519, credential],
  ['an HMAC secret', hmac, { publicKey: undefined, signingSecret: signingSecret('verit_test') }]
] as const) {
  test(`the OpenAI SDK works through it, whole and streamed, with ${name}`, async () => {
    await using server = await signedServer({ credential: credentials })
    const path = join(folder, `${keyFile.kind}.json`)
    writeKeyFile(path, keyFile)
    const client = new OpenAI({
      baseURL: `${server.url}/v1`,
      apiKey: 'unused',
      fetch: veritFetch({ keyFile: path, serverKey: server.serverKey })
    })
    const whole = await client.chat.completions.create({
      model: 'default',
      messages: [{ role: 'user', content: 'Grüß Gott' }]
    })
    assert.equal(whole.choices[0]!.message.content, 'Hello there')
    let text = ''
    for await (const chunk of await client.chat.completions.create({
      model: 'default',
      messages: [{ role: 'user', content: 'Hi' }],
      stream: true
    })) {
      text += chunk.choices[0]!.delta.content ?? ''
    }
    assert.equal(text, 'Hello')
    assert.equal(server.accepted.length, 2)
    for (const { headers } of server.accepted) assert.equal(headers.authorization, undefined)
  })
}

test('bodies of every kind are signed as they are sent, and a form is refused', async () => {
  await using server = await serve()
  const send = veritFetch({ keyFile: ed25519, url: server.url, serverKey: server.serverKey })
  const text = '{"é":1}'
  const bytes = new TextEncoder().encode(text)
  const stream = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
      controller.close()
    }
  })
  for (const body of [text, bytes, bytes.buffer, new Blob([bytes]), stream]) {
    const response = await send(server.url, { ...json(''), body, duplex: 'half' } as RequestInit)
    assert.equal(response.status, 200)
    assert.equal(server.accepted.at(-1)!.body, text)
  }
  assert.equal((await send(new Request(`${server.url}/x`, json({})))).status, 200)
  assert.equal((await send(new URL(server.url), { method: 'DELETE' })).status, 200)
  await assert.doesNotReject(send(server.url, { ...json(''), body: '' }))
  const form = new FormData()
  form.append('a', 'b')
  await rejected(send(server.url, { method: 'POST', body: form }), 'VERIT_CLIENT', /form/)
  await rejected(send(server.url, { method: 'POST', body: bytes }), 'VERIT_CLIENT', /content-type/)
  const small = veritFetch({ keyFile: ed25519, bodyLimit: 3 })
  await rejected(
    small(server.url, json({})).then(() => small(server.url, json([1, 2]))),
    'VERIT_CLIENT',
    /more than 3 bytes/
  )
})

test('only the one server is called, without queries, and redirects are not followed', async () => {
  await using server = await serve()
  await using other = await serve()
  const pinned = veritFetch({ keyFile: ed25519, url: server.url })
  await rejected(pinned(other.url), 'VERIT_CLIENT', /it goes to/)
  const first = veritFetch({ keyFile: ed25519 })
  await first(server.url)
  await rejected(first(other.url), 'VERIT_CLIENT', /it goes to/)
  assert.equal(other.accepted.length, 0)
  await rejected(first(`${server.url}/?a=b`), 'VERIT_CLIENT', /query/)
  assert.throws(
    () => veritFetch({ url: 'file:///etc' }),
    e => VeritError.is(e, 'VERIT_CLIENT')
  )
  const redirecting = await serve({
    answers: { '/r': 307 },
    tamper: { headers: h => void (h['location'] = `${other.url}/x`) }
  })
  await using _ = redirecting
  const send = veritFetch({ keyFile: ed25519 })
  await assert.rejects(send(`${redirecting.url}/r`, { redirect: 'follow' }), TypeError)
  assert.equal((await send(`${redirecting.url}/r`, { redirect: 'manual' })).status, 307)
  assert.equal(other.accepted.length, 0)
})

test('each request has its own nonce, and fields of the caller cannot replace the signature', async () => {
  await using server = await serve()
  const send = veritFetch({ keyFile: ed25519 })
  const headers = {
    signature: 'verit=:AAAA:',
    'signature-input': 'verit=()',
    'content-digest': 'sha-256=:AAAA:',
    'x-api-key': 'verit_x',
    'x-other': 'kept'
  }
  for (let i = 0; i < 3; i++) assert.equal((await send(server.url, { headers })).status, 200)
  assert.equal(new Set(server.accepted.map(a => a.nonce)).size, 3)
  assert.equal(server.accepted[0]!.headers['x-api-key'], undefined)
  assert.equal(server.accepted[0]!.headers['x-other'], 'kept')
})

test('an answer that was changed, is unsigned, or is of another server is an error', async () => {
  const cases: [SignedServerOptions, RegExp][] = [
    [{ tamper: { body: text => text.replace('Hello', 'Hullo') } }, /sha-256/],
    [{ tamper: { headers: headers => void (headers['content-type'] = 'text/plain') } }, /does not fit/],
    [{ tamper: { headers: headers => void delete headers['content-digest'] } }, /no content-digest/],
    [{ sign: false }, /not signed \(it says 200\)/],
    [{ sign: false, answers: { '/': 403 } }, /not signed \(it says 403 VERIT_TEST\)/],
    [{ sign: false, ahead: 500 }, /not signed \(it says 401 VERIT_TEST\)\. The clock of this computer is \d+ s behind/]
  ]
  for (const [options, problem] of cases) {
    await using server = await serve(options)
    await rejected(veritFetch({ keyFile: ed25519, serverKey: server.serverKey })(server.url), 'VERIT_ANSWER', problem)
  }
  await using server = await serve()
  const other = ed25519ToSpki(generateKeyPairSync('ed25519').publicKey).toString('base64')
  await rejected(veritFetch({ keyFile: ed25519, serverKey: other })(server.url), 'VERIT_ANSWER', /expected server key/)
  await rejected(
    veritFetch({ keyFile: ed25519, serverKey: server.serverKey, bodyLimit: 10 })(server.url),
    'VERIT_ANSWER',
    /more than 10 bytes/
  )
})

test('a signed error is given back as it is', async () => {
  await using server = await serve({ answers: { '/': 403 } })
  const response = await veritFetch({ keyFile: ed25519, serverKey: server.serverKey })(server.url)
  assert.equal(response.status, 403)
  assert.equal(response.url, `${server.url}/`)
  assert.match(await response.text(), /VERIT_TEST/)
})

test('a stream that was changed or cut short fails when it is read', async () => {
  const asked = json({ stream: true })
  for (const tamper of [
    { end: () => '' },
    { end: (end: string) => end.slice(0, -1) },
    { body: (text: string) => text.replace('Hel', 'Hol') }
  ]) {
    await using server = await serve({ tamper })
    const response = await veritFetch({ keyFile: ed25519, serverKey: server.serverKey })(server.url, asked)
    await rejected(response.text(), 'VERIT_ANSWER', /stream/)
  }
  await using server = await serve()
  const response = await veritFetch({ keyFile: ed25519, serverKey: server.serverKey })(server.url, asked)
  assert.match(await response.text(), /^data: .*\n\ndata: .*\n\ndata: \[DONE\]\n\n$/)
})

test('without a key file the headers stay, and answers can be checked all the same', async () => {
  await using server = await signedServer()
  const response = await veritFetch({ serverKey: server.serverKey })(server.url, {
    ...json({}),
    headers: { authorization: 'Bearer verit_x', 'content-type': 'application/json' }
  })
  assert.equal(response.status, 200)
  assert.equal(server.accepted[0]!.headers.authorization, 'Bearer verit_x')
})

test('a wrong clock is named in the error of a 401', async () => {
  await using server = await serve({ ahead: -3600 })
  const client = new OpenAI({ baseURL: server.url, apiKey: 'unused', fetch: veritFetch({ keyFile: ed25519 }) })
  await assert.rejects(
    client.models.list(),
    /the server, which allows 60 s.*The clock of this computer is 3[56]\d\d s ahead of the server's/
  )
})

test(
  'key files are written for their owner alone, read back, and refused where others can read them',
  { skip: process.platform === 'win32' },
  () => {
    const path = join(folder, 'key.json')
    for (const content of [ed25519, hmac]) {
      writeKeyFile(path, content, true)
      assert.equal(statSync(path).mode & 0o777, 0o600)
      assert.deepEqual(readKeyFile(path), content)
    }
    assert.throws(
      () => writeKeyFile(path, hmac),
      e => VeritError.is(e, 'VERIT_FILE_EXISTS')
    )
    chmodSync(path, 0o640)
    assert.throws(
      () => readKeyFile(path),
      e => VeritError.is(e, 'VERIT_KEY_FILE') && /mode 640/.test(e.message)
    )
  }
)

test('a malformed key file is refused without quoting it', () => {
  const path = join(folder, 'bad.json')
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ format: 'pem', type: 'pkcs8' })
    .toString()
  const secret = 'verit_SECRET'
  const wrong: unknown[] = [
    null,
    [],
    'x',
    {},
    { ...hmac, kind: 'rsa', key: secret },
    { kind: 'hmac-sha256', keyid },
    { ...hmac, key: 1 },
    { ...hmac, keyid: 'key_1.1', key: secret },
    { ...hmac, key: secret, more: 1 },
    { ...ed25519, privateKey: secret },
    { ...ed25519, privateKey: p256 },
    { ...ed25519, privateKey: ed25519.kind }
  ]
  for (const text of [...wrong.map(w => JSON.stringify(w)), `{"key":"${secret}"`, '', 'x'.repeat(20_000)]) {
    writeFileSync(path, text, { mode: 0o600 })
    assert.throws(
      () => readKeyFile(path),
      e => VeritError.is(e, 'VERIT_KEY_FILE') && !e.message.includes(secret) && !String(e.cause).includes(secret)
    )
  }
  assert.ok(readFileSync(path).length > 0)
})

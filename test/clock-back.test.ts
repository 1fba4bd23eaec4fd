/**
 * A server whose clock was ahead for a while and goes back (finding 7): no signed request is answered twice, no key
 * comes back, and the operator has a way out that leaves an entry in the audit log.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { readEntries } from '../src/audit/reader.ts'
import { newKeyPair } from '../src/client/index.ts'
import { signerOf } from '../src/client/key-file.ts'
import { openStore } from '../src/store/open-store.ts'
import { signRequest } from '../src/trust/request-profile.ts'
import { veritSync } from './cli.ts'
import { killServers, servedWith, tinyModel } from './served.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-clock-'))
after(() => {
  killServers()
  rmSync(dir, { recursive: true })
})
const state = join(dir, 'state')
const clockFile = join(dir, 'clock')
let shift = 0
/** Sets the clock of the server to `seconds` ahead of the right time. */
async function setClock(seconds: number): Promise<void> {
  shift = seconds
  writeFileSync(clockFile, String(seconds * 1000))
  await sleep(30)
}

test('a request that was recorded is answered once, whatever the clock does; the time can be set back', async () => {
  const store = await openStore({ stateFolder: state })
  const pair = newKeyPair()
  const { credentialId } = await store.keys.create({ name: 'signs', kind: 'ed25519', public: pair.publicKey }, 'cli')
  const { key } = await store.keys.create({ name: 'bearer' }, 'cli')
  const short = await store.keys.create({ name: 'short', expires: new Date(Date.now() + 250_000).toISOString() }, 'cli')
  await store.close()
  const signer = signerOf({ kind: 'ed25519', keyid: credentialId, privateKey: pair.privateKey })
  /** A request of that time by the server's clock, as a client with the same clock signs it. */
  const unsigned = { method: 'GET', authority: 'localhost', path: '/v1/models', headers: {} }
  const sign = (at: number): Record<string, string> => signRequest(unsigned, signer, at).headers
  const now = (): number => Math.floor(Date.now() / 1000) + shift

  await setClock(0)
  const preload = pathToFileURL(join(import.meta.dirname, 'shifted-clock.ts')).href
  const env = { VERIT_TEST_CLOCK: clockFile, NODE_OPTIONS: `--import=${preload}` }
  const model = await tinyModel(dir)
  const server = await servedWith(env, model, state)
  const ask = (headers: Record<string, string>): Promise<[number, string]> =>
    new Promise((resolve, reject) => {
      request(`${server.url}/v1/models`, { headers: { ...headers, host: 'localhost' }, agent: false }, response => {
        let text = ''
        response.setEncoding('utf8').on('data', chunk => (text += chunk))
        response.on('end', () => resolve([response.statusCode!, /"code":"(\w+)"/.exec(text)?.[1] ?? '']))
      })
        .on('error', reject)
        .end()
    })
  const bearer = (secret: string): Promise<[number, string]> => ask({ authorization: `Bearer ${secret}` })

  const recorded = sign(now())
  assert.deepEqual(await ask(recorded), [200, ''])
  assert.deepEqual(await ask(recorded), [401, 'VERIT_SIGNATURE'])

  await setClock(300)
  assert.deepEqual(await ask(recorded), [401, 'VERIT_SIGNATURE'])
  assert.deepEqual(await bearer(short.key!), [401, 'VERIT_UNAUTHORIZED'])
  const nonces = (): number => {
    const db = new DatabaseSync(join(state, 'verit.sqlite'), { readOnly: true })
    try {
      return Number(db.prepare('SELECT count(*) AS n FROM verit_nonce').get()!['n'])
    } finally {
      db.close()
    }
  }
  for (let i = 0; i < 1000 && nonces() > 0; i++) await sleep(20)
  assert.equal(nonces(), 0, 'its nonce was deleted')

  await setClock(10)
  assert.deepEqual(await ask(recorded), [503, 'VERIT_CLOCK'])
  assert.deepEqual(await ask(sign(now())), [503, 'VERIT_CLOCK'], 'an honest one')
  assert.deepEqual(
    [await bearer(key!), await bearer(short.key!)],
    [
      [200, ''],
      [401, 'VERIT_UNAUTHORIZED']
    ]
  )
  await server.logged(/the clock is behind the latest time that the store has seen/)

  const accepted = veritSync(['keys', 'accept-clock', '--state', state])
  assert.match(accepted.stdout, /The store's time was .* UTC and is now .* UTC\./, accepted.stderr)
  for (let i = 0; i < 500 && (await bearer(short.key!))[0] !== 200; i++) await sleep(20)
  assert.deepEqual(await bearer(short.key!), [200, ''], 'the key ends when its time really comes')
  // until two windows later, for the nonces from before are gone
  assert.deepEqual(await ask(recorded), [503, 'VERIT_CLOCK'])
  const events = (): string[] =>
    [...readEntries(join(state, 'audit'))].flatMap(({ entry }) =>
      entry.type === 'key' && entry.event.startsWith('clock') ? [entry.event] : []
    )
  // the server moves what another process did from the store to the audit log twice a second
  for (let i = 0; i < 500 && events().length === 0; i++) await sleep(20)
  assert.deepEqual(events(), ['clock.accept'])
  await setClock(200)
  assert.deepEqual(await ask(recorded), [401, 'VERIT_SIGNATURE'])
  assert.deepEqual(await ask(sign(now())), [200, ''])
  assert.equal(await server.stop(), 0)
})

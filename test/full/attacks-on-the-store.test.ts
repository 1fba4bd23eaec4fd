/**
 * Attacks that wait for a database: class G, case 12, with a lock that is not given back and a PostgreSQL that dies.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { ed25519ToSpki } from '../../src/trust/ed25519.ts'
import { signRequest } from '../../src/trust/request-profile.ts'
import { askAll, nobodyGetsIn } from '../attacks/ask-all.ts'
import { Target, eventually } from '../attacks/target.ts'
import { startPostgres } from '../postgres.ts'
import { killServers } from '../served.ts'

after(killServers)

test('G12 a nonce that cannot be written is a request refused', async () => {
  const t = await Target.start({ http: { header_seconds: 60, request_seconds: 60 } })
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const { credentialId } = await t.store.keys.create(
    { name: 'signer', kind: 'ed25519', public: ed25519ToSpki(publicKey) },
    'cli'
  )
  const signed = (): Promise<Response> =>
    t.fetch('/v1/models', {
      key: '',
      headers: signRequest(
        { method: 'GET', authority: `127.0.0.1:${t.port}`, path: '/v1/models', headers: {} },
        { alg: 'ed25519', keyId: credentialId, privateKey }
      ).headers
    })
  assert.equal((await signed()).status, 200)
  const database = new DatabaseSync(join(t.state, 'verit.sqlite'))
  database.exec('BEGIN IMMEDIATE')
  // SQLite waits for a lock for seconds, and what else must be written waits with it
  assert.equal((await signed()).status, 503)
  database.exec('ROLLBACK')
  database.close()
  assert.equal((await signed()).status, 200)
  await t.survives()
  await t.stop()
})

test('G12 a PostgreSQL that dies means 503 for everyone, and everyone is served again when it is back', async () => {
  const postgres = await startPostgres()
  const at = await Target.start({}, 512, await postgres.createDatabase())
  await at.survives()
  await postgres.kill()
  nobodyGetsIn(await askAll(at))
  assert.equal((await at.fetch('/health', { key: '' })).status, 503)
  await postgres.start()
  await eventually(async () => (await at.complete()).status === 200, 'the gateway finds its database again')
  assert.ok((await askAll(at)).every(({ key, status }) => key === 'valid' || status === 401))
  await at.stop()
  await postgres.stop()
})

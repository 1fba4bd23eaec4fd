/**
 * Class G, case 12: the store fails in the middle of everything. That is never a way in: 503, and once the store is
 * back all goes on.
 */
import assert from 'node:assert/strict'
import { openSync, readdirSync, writeSync, closeSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { killServers } from '../served.ts'
import { askAll, nobodyGetsIn } from './ask-all.ts'
import { Target } from './target.ts'

let t: Target
before(async () => {
  t = await Target.start({}, 1 << 15)
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  await t.stop()
})

test('G12 tables that are gone mean 503 for everyone, and everyone is served again when they are back', async () => {
  const database = new DatabaseSync(join(t.state, 'verit.sqlite'), { timeout: 5000 })
  database.exec('ALTER TABLE verit_key RENAME TO gone')
  nobodyGetsIn(await askAll(t))
  assert.equal((await t.fetch('/health', { key: '' })).status, 503)
  database.exec('ALTER TABLE gone RENAME TO verit_key')
  database.close()
  await t.survives()
})

test('G12 a generation ends when the store has not answered for a while', async () => {
  const response = await t.complete({ max_tokens: 30_000, stream: true, ignore_eos: true })
  const reader = response.body!.getReader()
  await reader.read()
  const database = new DatabaseSync(join(t.state, 'verit.sqlite'), { timeout: 5000 })
  database.exec('ALTER TABLE verit_key RENAME TO gone')
  let last = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) last = Buffer.from(part.value).toString()
  assert.match(last, /VERIT_UNAVAILABLE/)
  database.exec('ALTER TABLE gone RENAME TO verit_key')
  database.close()
  await t.quiet()
})

test('G12 a database that is overwritten while the server runs lets nobody in who was not let in before', async () => {
  const revoked = await t.key()
  await t.store.keys.revoke(revoked.record.id, 'cli')
  for (const name of readdirSync(t.state).filter(n => n.startsWith('verit.sqlite') && !n.endsWith('-shm'))) {
    const fd = openSync(join(t.state, name), 'r+')
    writeSync(fd, Buffer.alloc(statSync(join(t.state, name)).size, 0x5a), 0)
    closeSync(fd)
  }
  for (const { path, key, status } of await askAll(t)) {
    if (key !== 'valid') assert.ok(status === 401 || status === 503, `${path} with ${key} key: ${status}`)
  }
  assert.ok([401, 503].includes((await t.fetch('/v1/models', { key: revoked.key })).status))
  assert.equal((await t.fetch('/health', { key: '' })).status, 503)
})

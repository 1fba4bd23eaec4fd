/**
 * What the store promises on PostgreSQL alone: a server that goes away and comes back, addresses that cannot be used,
 * TLS.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { VeritError } from '../src/lib/errors.ts'
import type { ErrorCode } from '../src/lib/errors.ts'
import { openStore } from '../src/store/open-store.ts'
import type { Store } from '../src/store/store.ts'
import { makeCertificate } from './certificates.ts'
import { startPostgres } from './postgres.ts'
import type { Postgres } from './postgres.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-store-postgres-'))
let postgres: Postgres
const authority = makeCertificate({ subject: 'authority', purpose: 'ca' })
before(async () => {
  postgres = await startPostgres(
    makeCertificate({ subject: 'database', issuer: authority, purpose: 'server', names: ['127.0.0.1'] })
  )
})
after(async () => {
  await postgres?.stop()
  rmSync(dir, { recursive: true })
})

const refused =
  (code: ErrorCode, text = '') =>
  (e: unknown): boolean =>
    VeritError.is(e, code) && e.message.includes(text)
const MINUTE = 60_000
let folders = 0

/** A new, empty database. */
async function place(): Promise<{ stateFolder: string; databaseUrl: string; open(): Promise<Store> }> {
  const stateFolder = join(dir, `s${folders++}`)
  const databaseUrl = await postgres.createDatabase()
  return { stateFolder, databaseUrl, open: () => openStore({ stateFolder, databaseUrl }) }
}

test('calls reject while it is down and work once it is back, without what was answered being lost', async () => {
  const at = await place()
  const store = await at.open()
  const {
    key,
    record: { id }
  } = await store.keys.create({ name: 'x' }, 'cli')
  const now = new Date()
  const granted = await Promise.all(
    Array.from({ length: 20 }, () => store.budgets.reserve(id, 1, { tokensPerDay: 1000 }, now))
  )
  await store.replay.use(`${id}.1`, 'n', Date.now() + MINUTE)
  const underway = Promise.allSettled(
    Array.from({ length: 50 }, () => store.budgets.reserve(id, 1, { tokensPerDay: 1000 }, now))
  )
  await postgres.kill()
  const sure = granted.length + (await underway).filter(answer => answer.status === 'fulfilled').length
  for (const call of [
    () => store.keys.bySecret(key!),
    () => store.budgets.reserve(id, 1, {}, now),
    () => store.replay.use('key_00000000000a.1', 'n', 1),
    () => store.outbox.pending(),
    () => at.open()
  ]) {
    await assert.rejects(call, refused('VERIT_STORE'))
  }
  await postgres.start()
  assert.equal((await store.keys.bySecret(key!))?.record.id, id)
  assert.equal(await store.replay.use(`${id}.1`, 'n', Date.now() + MINUTE), false)
  const { reserved } = (await store.budgets.usage(id, now)).day
  assert.ok(reserved >= sure && reserved <= 70, `${reserved} of at least ${sure}`)
  await store.close()
})

test('verit keys works on the database that the environment names', async () => {
  const at = await place()
  const store = await at.open()
  const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [main, 'keys', 'create', '--name', 'cli', '--state', at.stateFolder],
    { env: { ...process.env, VERIT_DATABASE_URL: at.databaseUrl } }
  )
  assert.equal((await store.keys.bySecret(stdout.trim()))?.record.name, 'cli')
  await store.close()
})

test('an address that cannot be used is named without its password', async () => {
  const url = new URL(await postgres.createDatabase())
  const open = (change: (u: URL) => void): Promise<Store> => {
    const other = new URL(url)
    change(other)
    return openStore({ stateFolder: join(dir, 'unused'), databaseUrl: other.href })
  }
  const clean =
    (text: string) =>
    (e: unknown): boolean =>
      VeritError.is(e, 'VERIT_STORE') &&
      e.message.includes(text) &&
      !e.message.includes(url.password) &&
      !e.message.includes('hunter2') &&
      e.cause === undefined
  await assert.rejects(
    open(u => {
      u.password = 'hunter2'
    }),
    clean('let this user in')
  )
  await assert.rejects(
    open(u => {
      u.pathname = '/hunter2'
    }),
    clean('no such database')
  )
  await assert.rejects(
    open(u => {
      u.port = '1'
    }),
    clean('refuses connections')
  )
  const unread = openStore({
    stateFolder: join(dir, 'unused'),
    databaseUrl: `${url.href}?sslmode=verify-full&sslrootcert=/nowhere/hunter2`
  })
  await assert.rejects(unread, e => VeritError.is(e, 'VERIT_DATABASE_URL') && !e.message.includes('hunter2'))
})

test('with verify-full only the database that the authority vouches for, under its name, is believed', async () => {
  const url = await postgres.createDatabase()
  const open = (host: string, ca: string): Promise<Store> => {
    const file = join(dir, `ca-${folders}.pem`)
    writeFileSync(file, ca)
    const databaseUrl = `${url.replace('127.0.0.1', host)}?sslmode=verify-full&sslrootcert=${file}`
    return openStore({ stateFolder: join(dir, `s${folders++}`), databaseUrl })
  }
  const store = await open('127.0.0.1', authority.cert)
  assert.deepEqual(await store.keys.list(), [])
  await store.close()
  const distrusted = refused('VERIT_STORE', 'certificate is not accepted')
  await assert.rejects(open('localhost', authority.cert), distrusted)
  await assert.rejects(open('127.0.0.1', makeCertificate({ subject: 'authority', purpose: 'ca' }).cert), distrusted)
})

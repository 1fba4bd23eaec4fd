import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verit } from '../../test/cli.ts'
import { readKeyFile, signerOf } from '../client/key-file.ts'
import type { KeyRecord } from '../store/key-store.ts'
import { openStore } from '../store/open-store.ts'
import type { BudgetUsage } from '../store/store.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-keys-'))
after(() => rmSync(dir, { recursive: true }))

interface Result {
  status: number | null
  out: string
  err: string
}

async function keys(state: string, args: string[], env: Record<string, string> = {}): Promise<Result> {
  const { status, stdout: out, stderr: err } = await verit(['keys', ...args, '--state', join(dir, state)], { env })
  return { status, out, err }
}

test('a secret is made, shown, changed, rotated and revoked; standard output has the key alone', async () => {
  const made = await keys('a', [
    'create',
    '--name',
    'team',
    '--expires',
    '90d',
    '--tokens-per-day',
    '1000',
    '--streams',
    '2',
    '--address',
    '10.0.0.1/8',
    '--scope',
    'infer',
    'audit'
  ])
  assert.match(made.out, /^verit_\w{43}_\w{6}\n$/)
  const id = /^key_[0-9a-f]{12}/.exec(made.err)![0]
  const [shown, changed] = [
    await keys('a', ['show', id]),
    await keys('a', ['change', id, '--streams', 'none', '--any-address', '--expires', 'never', '--signing', 'optional'])
  ]
  assert.match(shown.out, /10\.0\.0\.0\/8/)
  assert.match(shown.out, /today +0 used of 1,000/)
  assert.ok(shown.out.split('\n').every(line => line.length <= 80))
  assert.match(changed.err, /verit keys rotate/)
  const rotated = await keys('a', ['rotate', id, '--overlap', '30m', '--key-file', join(dir, 'h.json')])
  assert.equal(rotated.out, '')
  const file = readKeyFile(join(dir, 'h.json'))
  assert.equal(file.keyid, `${id}.2`)
  const record = JSON.parse((await keys('a', ['show', id, '--json'])).out) as KeyRecord & { usage: BudgetUsage }
  assert.deepEqual(
    [record.limits, record.addresses, record.expires, record.credentials.length, record.usage.day.used],
    [{ tokensPerDay: 1000 }, [], undefined, 2, 0]
  )
  const store = await openStore({ stateFolder: join(dir, 'a') })
  assert.equal((await store.keys.bySecret(made.out.trim()))?.id, `${id}.1`)
  assert.equal(file.kind === 'hmac-sha256' && (await store.keys.bySecret(file.key))?.id, `${id}.2`)
  const gone = await keys('a', ['revoke', id, 'key_none'])
  assert.deepEqual([gone.status, gone.out.split('\n').length], [2, 2])
  assert.match(gone.err, /There is no key key_none/)
  assert.equal(await store.keys.bySecret(made.out.trim()), undefined)
  await store.close()
})

test('a key pair is made here or elsewhere; existing files are kept, and no key is left behind', async () => {
  const file = join(dir, 'pair.json')
  const made = await keys('b', ['create', '--name', 'pair', '--kind', 'ed25519', '--key-file', file, '--json'])
  const record = JSON.parse(made.out) as KeyRecord & { credential: string }
  assert.deepEqual([record.kind, record.signing, readKeyFile(file).keyid], ['ed25519', 'required', record.credential])
  assert.equal(signerOf(readKeyFile(file)).alg, 'ed25519')
  if (process.platform !== 'win32') assert.equal(statSync(file).mode & 0o777, 0o600)
  const before = readFileSync(file)
  const results = await Promise.all([
    keys('b', ['create', '--kind', 'ed25519', '--key-file', file]),
    keys('b', ['create', '--kind', 'ed25519', '--key-file', join(dir, 'none', 'x.json')]),
    keys('b', ['create', '--kind', 'ed25519']),
    keys('b', ['create', '--key-file', join(dir, 'y.json')]),
    keys('b', ['create', '--kind', 'certificate', '--certificate', file])
  ])
  assert.ok(results.every(r => r.status !== 0 && r.out === ''))
  assert.deepEqual(readFileSync(file), before)
  const store = await openStore({ stateFolder: join(dir, 'b') })
  assert.deepEqual(
    (await store.keys.list()).filter(k => k.revoked === undefined).map(k => k.name),
    ['pair']
  )
  await store.close()
})

test('the address of a database is taken from the environment only, and not repeated', async () => {
  const file = join(dir, 'url')
  writeFileSync(file, 'postgresql://verit:hunter2@127.0.0.1:1/verit', { mode: 0o600 })
  const results = await Promise.all([
    keys('c', ['list'], { VERIT_DATABASE_URL_FILE: file }),
    keys('c', ['list'], { VERIT_DATABASE_URL: 'postgresql://verit:hunter2@db.example/verit' })
  ])
  assert.deepEqual(
    results.map(r => [r.status, /\[(\w+)\]/.exec(r.err)?.[1]]),
    [
      [1, 'VERIT_STORE'],
      [2, 'VERIT_DATABASE_URL']
    ]
  )
  assert.ok(results.every(r => !`${r.out}${r.err}`.includes('hunter2')))
})

import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { VeritError } from '../lib/errors.ts'
import { openStore } from './open-store.ts'
import { defaultStateFolder } from './state-folder.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-store-'))
after(() => rmSync(dir, { recursive: true }))
let n = 0
const fresh = (): string => join(dir, `s${n++}`, 'state')
const refused =
  (code: string) =>
  (e: unknown): boolean =>
    VeritError.is(e) && e.code === code
const openAndClose = async (stateFolder: string): Promise<void> => (await openStore({ stateFolder })).close()

/** A folder of mode 0700 with these files of mode 0600. */
function folderOf(files: Record<string, string | Uint8Array>): string {
  const folder = fresh()
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes, { mode: 0o600 })
  return folder
}

test('no file of the state folder holds a key, and nobody else may read any of them', async () => {
  const stateFolder = fresh()
  const store = await openStore({ stateFolder })
  const { key } = await store.keys.create({ name: 'x', signing: 'optional' }, 'cli')
  assert.equal(statSync(stateFolder).mode & 0o777, 0o700)
  assert.ok(readdirSync(stateFolder).length >= 3)
  for (const name of readdirSync(stateFolder)) {
    assert.equal(statSync(join(stateFolder, name)).mode & 0o077, 0, name)
    const bytes = readFileSync(join(stateFolder, name))
    assert.ok(!bytes.includes(key!) && !bytes.includes(key!.slice(6, 49)), name)
  }
  await store.close()
})

test('a state that others can read, that is a link, damaged, or of a newer version is refused', async () => {
  const wide = fresh()
  await openAndClose(wide)
  chmodSync(wide, 0o750)
  await assert.rejects(openAndClose(wide), refused('VERIT_STATE'))
  chmodSync(wide, 0o700)
  for (const name of ['secret', 'verit.sqlite']) {
    chmodSync(join(wide, name), 0o644)
    await assert.rejects(openAndClose(wide), refused('VERIT_STATE'))
    chmodSync(join(wide, name), 0o600)
  }
  const link = join(dir, 'link')
  symlinkSync(wide, link)
  await assert.rejects(openAndClose(link), refused('VERIT_STATE'))
  const newer = new DatabaseSync(join(wide, 'verit.sqlite'))
  newer.exec('PRAGMA user_version = 99')
  newer.close()
  await assert.rejects(openAndClose(wide), refused('VERIT_STATE'))
  await assert.rejects(openAndClose(folderOf({ secret: 'too short' })), refused('VERIT_STATE'))
  const garbage = 'this is not a database, but it is long enough to look like one'.repeat(50)
  await assert.rejects(
    openAndClose(folderOf({ secret: Buffer.alloc(32), 'verit.sqlite': garbage })),
    refused('VERIT_STORE')
  )
})

test('keys without their secret are refused; an empty or occupied path is no state folder', async () => {
  const folder = fresh()
  await openAndClose(folder)
  rmSync(join(folder, 'secret'))
  await assert.rejects(openAndClose(folder), refused('VERIT_STATE'))
  assert.ok(!existsSync(join(folder, 'secret')))
  await assert.rejects(openAndClose(''), refused('VERIT_STATE'))
  const file = join(folder, 'a file')
  writeFileSync(file, '')
  await assert.rejects(openAndClose(file), refused('VERIT_STATE'))
})

test('the default folder follows XDG_STATE_HOME', () => {
  const before = process.env['XDG_STATE_HOME']
  process.env['XDG_STATE_HOME'] = '/somewhere'
  assert.equal(defaultStateFolder(), '/somewhere/verit')
  process.env['XDG_STATE_HOME'] = 'relative'
  assert.match(defaultStateFolder(), /\.local.state.verit$/)
  if (before === undefined) delete process.env['XDG_STATE_HOME']
  else process.env['XDG_STATE_HOME'] = before
})

test('a database of version 1, as Verit 0.1.0 wrote it, migrates with every key as it was', async () => {
  const fixture = fileURLToPath(new URL('../../test/fixtures/store-v1', import.meta.url))
  const { records, keys } = JSON.parse(readFileSync(join(fixture, 'keys.json'), 'utf8')) as {
    records: { id: string; name: string; scopes: string[]; created: string; revoked?: string }[]
    keys: string[]
  }
  const stateFolder = folderOf({})
  for (const name of ['secret', 'verit.sqlite']) {
    cpSync(join(fixture, name), join(stateFolder, name))
    chmodSync(join(stateFolder, name), 0o600)
  }
  for (let time = 0; time < 2; time++) {
    // two processes that start at once, then one that comes later
    const stores = await Promise.all([openStore({ stateFolder }), openStore({ stateFolder })])
    for (const { keys: store } of stores) {
      assert.deepEqual(
        await store.list(),
        records.map(record => ({
          ...record,
          revoked: record.revoked,
          kind: 'secret',
          owner: '',
          models: [],
          addresses: [],
          signing: 'never',
          limits: {},
          expires: undefined,
          lastUsed: undefined,
          credentials: [{ id: `${record.id}.1`, created: record.created, expires: undefined, fingerprint: undefined }]
        }))
      )
      const found = await Promise.all(keys.map(key => store.bySecret(key)))
      assert.deepEqual(
        found.map(c => c?.id),
        [`${records[0]!.id}.1`, `${records[1]!.id}.1`, undefined]
      )
    }
    assert.equal(await stores[0].keys.createFirst('x'), undefined)
    for (const store of stores) await store.close()
  }
  const db = new DatabaseSync(join(stateFolder, 'verit.sqlite'))
  assert.deepEqual({ ...db.prepare('PRAGMA user_version').get() }, { user_version: 2 })
  assert.equal(db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'api_key'").get()?.['n'], 0)
  db.close()
})

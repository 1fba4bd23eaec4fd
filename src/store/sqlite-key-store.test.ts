import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { DatabaseSync } from 'node:sqlite'
import { VeritError } from '../lib/errors.ts'
import { newKey } from './key-format.ts'
import { SqliteKeyStore } from './sqlite-key-store.ts'
import { defaultStateFolder } from './state-folder.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-store-'))
after(() => rmSync(dir, { recursive: true }))
let n = 0
const fresh = (): string => join(dir, `s${n++}`, 'state')
const refused = (code: string) => (e: unknown): boolean => VeritError.is(e) && e.code === code

test('a key verifies until it is revoked, also when another store object revokes it; others never do', () => {
  const folder = fresh()
  const store = new SqliteKeyStore(folder)
  const { key, record } = store.create('one', ['models'])
  assert.deepEqual(store.verify(key), record)
  assert.deepEqual(record.scopes, ['models'])
  assert.equal(store.verify(newKey()), undefined)
  assert.equal(store.verify(`${key} `), undefined)
  const other = new SqliteKeyStore(folder)
  assert.deepEqual(other.verify(key), record)
  const revoked = other.revoke(record.id)
  assert.ok(revoked?.revoked !== undefined)
  assert.equal(store.verify(key), undefined)
  assert.equal(store.revoke(record.id)?.revoked, revoked.revoked)
  assert.equal(store.revoke('key_000000000000'), undefined)
  assert.deepEqual(store.list(), [revoked])
  store.close()
  other.close()
})

test('the first key is made once, even when it has been revoked since', () => {
  const folder = fresh()
  const [a, b] = [new SqliteKeyStore(folder), new SqliteKeyStore(folder)]
  const first = a.createFirst('first')
  assert.ok(first !== undefined)
  assert.equal(b.createFirst('first'), undefined)
  a.revoke(first.record.id)
  assert.equal(a.createFirst('first'), undefined)
  a.close()
  b.close()
})

test('no file of the state folder holds the key, and nobody else may read any of them', () => {
  const folder = fresh()
  const store = new SqliteKeyStore(folder)
  const { key } = store.create('x')
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  for (const name of readdirSync(folder)) {
    assert.equal(statSync(join(folder, name)).mode & 0o077, 0, name)
    const bytes = readFileSync(join(folder, name))
    assert.ok(!bytes.includes(key) && !bytes.includes(key.slice(6, 49)), name)
  }
  store.close()
})

test('a state that others can read, that is a link, damaged, or of a newer version is refused', () => {
  const open = (folder: string): void => new SqliteKeyStore(folder).close()
  const wide = fresh()
  open(wide)
  chmodSync(wide, 0o750)
  assert.throws(() => open(wide), refused('VERIT_STATE'))
  chmodSync(wide, 0o700)
  for (const name of ['secret', 'verit.sqlite']) {
    chmodSync(join(wide, name), 0o644)
    assert.throws(() => open(wide), refused('VERIT_STATE'))
    chmodSync(join(wide, name), 0o600)
  }
  const link = join(dir, 'link')
  symlinkSync(wide, link)
  assert.throws(() => open(link), refused('VERIT_STATE'))
  const newer = new DatabaseSync(join(wide, 'verit.sqlite'))
  newer.exec('PRAGMA user_version = 99')
  newer.close()
  assert.throws(() => open(wide), refused('VERIT_STATE'))
  const short = fresh()
  mkdirSync(short, { recursive: true, mode: 0o700 })
  writeFileSync(join(short, 'secret'), 'too short', { mode: 0o600 })
  assert.throws(() => open(short), refused('VERIT_STATE'))
  const garbage = fresh()
  mkdirSync(garbage, { recursive: true, mode: 0o700 })
  writeFileSync(join(garbage, 'secret'), Buffer.alloc(32), { mode: 0o600 })
  writeFileSync(join(garbage, 'verit.sqlite'), 'this is not a database, but it is long enough to look like one'.repeat(50), { mode: 0o600 })
  assert.throws(() => open(garbage), refused('VERIT_STORE'))
})

test('a store that cannot be read throws, and does not say that there is no such key', () => {
  const store = new SqliteKeyStore(fresh())
  const { key } = store.create('x')
  store.close()
  assert.throws(() => store.verify(key), refused('VERIT_STORE'))
  assert.throws(() => store.verify(newKey()), refused('VERIT_STORE'))
})

test('a key of one server is nothing to a server with another secret', () => {
  const folder = fresh()
  const store = new SqliteKeyStore(folder)
  const { key } = store.create('x')
  store.close()
  writeFileSync(join(folder, 'secret'), Buffer.alloc(32, 7))
  const other = new SqliteKeyStore(folder)
  assert.equal(other.verify(key), undefined)
  other.close()
})

test('keys without their secret are refused, not given another secret; an empty or occupied path is no state folder', () => {
  const folder = fresh()
  new SqliteKeyStore(folder).close()
  rmSync(join(folder, 'secret'))
  assert.throws(() => new SqliteKeyStore(folder), refused('VERIT_STATE'))
  assert.ok(!existsSync(join(folder, 'secret')))
  assert.throws(() => new SqliteKeyStore(''), refused('VERIT_STATE'))
  const file = join(folder, 'a file')
  writeFileSync(file, '')
  assert.throws(() => new SqliteKeyStore(file), refused('VERIT_STATE'))
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

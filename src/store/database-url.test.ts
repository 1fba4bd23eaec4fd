import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { checkDatabaseUrl, databaseUrl } from './database-url.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-url-'))
after(() => rmSync(dir, { recursive: true }))

test('addresses of this machine need no TLS, those of others must say verify-full or disable', () => {
  for (const url of [
    'postgresql://verit:p%40ss@127.0.0.1:5432/verit',
    'postgres://verit@localhost/verit',
    'postgresql://verit:x@[::1]:5432/verit',
    'postgresql://verit:x@localhost/verit?host=/run/postgresql',
    'postgresql://verit:x@db.example/verit?sslmode=verify-full&sslrootcert=/etc/ca.pem',
    'postgresql://verit:x@10.0.0.5/verit?sslmode=disable',
    'postgresql:///verit?host=/run/postgresql'
  ])
    assert.doesNotThrow(() => checkDatabaseUrl(url), url)
})

test('what could turn off a check, or is no such address, is refused without repeating any of it', () => {
  for (const url of [
    'postgresql://u:hunter2@db.example/verit',
    'postgresql://u:hunter2@db.example/verit?sslmode=require',
    'postgresql://u:hunter2@db.example/verit?sslmode=no-verify',
    'postgresql://u:hunter2@db.example/verit?sslmode=verify-full&uselibpqcompat=true',
    'postgresql://u:hunter2@localhost/verit?host=db.example',
    'postgresql://u:hunter2@localhost/verit?ssl=0',
    'postgresql://u:hunter2@localhost/verit?password=x',
    'postgresql://u:hunter2@localhost/',
    'postgresql://u:hunter2@localhost',
    'postgresql://u:hunter2@localhost/a/b',
    'postgresql://u:hunter2@localhost/verit#x',
    'postgresql://u:hunter2@localhost/verit?sslmode=disable&sslmode=verify-full',
    'mysql://u:hunter2@localhost/verit',
    'http://u:hunter2@localhost/verit',
    '/run/postgresql hunter2',
    'hunter2',
    'postgresql://u:hunter 2@localhost/verit',
    'postgresql://u:hunter2@localhost/verit\n',
    `postgresql://u:hunter2@localhost/${'x'.repeat(5000)}`,
    'postgresql://u:hunter2@localhost/verit?options=-csynchronous_commit%3Doff'
  ]) {
    assert.throws(
      () => checkDatabaseUrl(url),
      e => VeritError.is(e, 'VERIT_DATABASE_URL') && !JSON.stringify([e.message, e.cause, e.fields]).includes('hunter'),
      url
    )
  }
})

test(
  "the address comes from one of two variables, and its file from nobody else's hands",
  { skip: process.platform === 'win32' },
  () => {
    const url = 'postgresql://verit:x@localhost/verit'
    const file = join(dir, 'url')
    writeFileSync(file, `${url}\n`, { mode: 0o600 })
    symlinkSync(file, join(dir, 'link'))
    assert.equal(databaseUrl({}), undefined)
    assert.equal(databaseUrl({ VERIT_DATABASE_URL: '' }), undefined)
    assert.equal(databaseUrl({ VERIT_DATABASE_URL: url }), url)
    for (const path of [file, join(dir, 'link')]) assert.equal(databaseUrl({ VERIT_DATABASE_URL_FILE: path }), url)
    assert.throws(
      () => databaseUrl({ VERIT_DATABASE_URL: url, VERIT_DATABASE_URL_FILE: file }),
      e => VeritError.is(e, 'VERIT_DATABASE_URL')
    )
    assert.throws(
      () => databaseUrl({ VERIT_DATABASE_URL_FILE: join(dir, 'none') }),
      e => VeritError.is(e, 'VERIT_FILE_NOT_FOUND')
    )
    chmodSync(file, 0o644)
    assert.throws(
      () => databaseUrl({ VERIT_DATABASE_URL_FILE: file }),
      e => VeritError.is(e, 'VERIT_STATE')
    )
    chmodSync(file, 0o600)
    writeFileSync(file, '\n')
    assert.throws(
      () => databaseUrl({ VERIT_DATABASE_URL_FILE: file }),
      e => VeritError.is(e, 'VERIT_DATABASE_URL')
    )
  }
)

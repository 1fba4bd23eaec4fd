import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { NonceQuota } from './nonce-quota.ts'
import { openSqlite } from './sqlite.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-nonces-'))
after(() => rmSync(dir, { recursive: true }))

test('a credential that has used too many nonces is refused until some have expired; others are not', async context => {
  const now = Date.now()
  context.mock.timers.enable({ apis: ['Date'], now })
  const database = openSqlite(join(dir, 'verit.sqlite'))
  const quota = new NonceQuota(database, 10)
  const fill = (count: number, expires: number): Promise<unknown> =>
    database.run(db =>
      db
        .insertInto('verit_nonce')
        .values(Array.from({ length: count }, (_, i) => ({ credential_id: 'a', nonce: `${expires} ${i}`, expires })))
        .execute()
    )
  await fill(7, now + 5000)
  for (let i = 0; i < 3; i++) await quota.take('a')
  await fill(3, now + 9000)
  await assert.rejects(quota.take('a'), e => VeritError.is(e, 'VERIT_NONCES') && e.status === 429)
  await quota.take('b')
  context.mock.timers.setTime(now + 5001)
  await quota.take('a')
  await database.close()
})

/** A log of 70,000 entries: two levels of full tiles on disk, written, opened again, verified, exported and proved. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openAuditLog } from '../../src/audit/audit-log.ts'
import { exportLog } from '../../src/audit/export.ts'
import { checkProof, proveConsistency, proveEntry } from '../../src/audit/proofs.ts'
import { searchEntries } from '../../src/audit/search.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { parseVerifierKey } from '../../src/trust/note-key.ts'
import { requestEntry, withLogFolder } from '../audit-entries.ts'

const SIZE = 70_000

test('a log of 70,000 entries is written, opened again, verified, exported and proved', () =>
  withLogFolder(async folder => {
    let log = await openAuditLog(folder, { origin: 'verit.test/large' })
    const older: string[] = []
    for (let at = 0; at < SIZE; at += 1000) {
      await Promise.all(Array.from({ length: 1000 }, (_, i) => log.append(requestEntry(at + i))))
      if (at % 7000 === 0) older.push(log.checkpoint())
      if (at % 20_000 !== 0) continue
      await log.close()
      log = await openAuditLog(folder)
    }
    await log.close()
    const key = parseVerifierKey(log.verifierKey)
    assert.ok(existsSync(join(folder, 'tile/1/000')) && !existsSync(join(folder, 'tile/2/000')))
    const copy = `${folder}-copy`
    assert.equal(exportLog(folder, copy), SIZE)
    assert.ok(
      existsSync(join(copy, 'tile/2/000.p/1')) &&
        existsSync(join(copy, 'tile/1/001.p/17')) &&
        existsSync(join(copy, 'tile/0/273.p/112'))
    )
    for (const place of [folder, copy]) {
      const { problems, continued, size } = await verifyLog(place, { key, older })
      assert.deepEqual([problems, continued, size], [[], older.length, SIZE])
    }
    for (const index of [0, 255, 256, 65_535, 65_536, 69_887, 69_888, SIZE - 1]) {
      const { entry } = checkProof(proveEntry(copy, index), key, [], 'a test')
      assert.equal(entry?.type === 'request' && entry.request, `req_${index}`)
    }
    for (const size of [0, 1, 256, 65_535, 65_536, 65_537, 69_888, SIZE])
      assert.equal(checkProof(proveConsistency(folder, size), key, [], 'a test').oldSize, size)
    const report = { undecided: 0 }
    const [late] = [...searchEntries(folder, { request: 'req_65536' }, report)]
    const since = late!.entry.time
    const [first] = [...searchEntries(folder, { since }, report)]
    assert.ok(first!.index <= 65_536 && first!.entry.time >= since)
  }))

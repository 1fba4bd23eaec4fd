import assert from 'node:assert/strict'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { requestEntry, withLogFolder } from '../../test/audit-entries.ts'
import { mth } from '../../test/merkle-definition.ts'
import { VeritError } from '../lib/errors.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { openCheckpoint } from '../trust/checkpoint.ts'
import { parseVerifierKey } from '../trust/note-key.ts'
import { splitBundle } from '../trust/tiles.ts'
import { openAuditLog } from './audit-log.ts'
import { parseCanonical } from './canonical-json.ts'
import { commitmentTo, readDaySecret } from './day-secrets.ts'
import type { AuditEntry } from './entry.ts'
import { newTextsKey, openTexts, readTextsKey } from './sealed-texts.ts'
import { readTextsFile } from './texts-file.ts'

const fails =
  (code: ErrorCode) =>
  (e: unknown): boolean =>
    VeritError.is(e, code)

/** All entries of a folder, through the files alone. */
function entriesOf(folder: string): Buffer[] {
  const all: Buffer[] = []
  for (let i = 0; ; i++) {
    const path = join(folder, 'tile/entries', String(i).padStart(3, '0'))
    if (!existsSync(path) && !existsSync(`${path}.open`)) return all
    all.push(...splitBundle(readFileSync(existsSync(path) ? path : `${path}.open`)).entries)
  }
}

test('what is appended is on disk, in order, under a signed root that follows from the definition', () =>
  withLogFolder(async folder => {
    const log = await openAuditLog(folder, { origin: 'verit.test/log' })
    const indexes = await Promise.all(Array.from({ length: 600 }, (_, i) => log.append(requestEntry(i))))
    assert.deepEqual(
      indexes,
      Array.from({ length: 600 }, (_, i) => i)
    )
    assert.equal(await log.append({ type: 'server', event: 'start', detail: { b: 1, a: [null, true] } }), 600)
    assert.equal(log.size, 601)
    const key = parseVerifierKey(log.verifierKey)
    assert.equal(key.name, 'verit.test/log')
    const { checkpoint } = openCheckpoint(readFileSync(join(folder, 'checkpoint')), key, 'a test')
    assert.equal(log.checkpoint(), readFileSync(join(folder, 'checkpoint'), 'utf8'))
    const entries = entriesOf(folder)
    assert.deepEqual(
      { origin: checkpoint.origin, size: checkpoint.size, root: checkpoint.root },
      { origin: 'verit.test/log', size: 601, root: mth(entries, folder) }
    )
    assert.deepEqual(
      entries.slice(0, 600).map(e => (parseCanonical(e) as { request: string }).request),
      Array.from({ length: 600 }, (_, i) => `req_${i}`)
    )
    assert.match(
      entries[600]!.toString(),
      /^\{"detail":\{"a":\[null,true\],"b":1\},"event":"start","time":"....-..-..T..:..:..\....Z","type":"server"\}$/
    )
    assert.deepEqual(
      ['000', '001'].map(n => statSync(join(folder, 'tile/0', n)).size),
      [8192, 8192]
    )
    assert.ok(!existsSync(join(folder, 'tile/0/002')))
    for (const name of ['key', 'checkpoint', 'tile/0/000', 'tile/entries/000', 'tile/entries/002.open'])
      assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
    await log.close()
  }))

test('a thousand entries at once share a handful of groups', () =>
  withLogFolder(async folder => {
    const log = await openAuditLog(folder)
    await Promise.all(Array.from({ length: 1000 }, (_, i) => log.append(requestEntry(i))))
    assert.ok(log.groups <= 8, `${log.groups} groups`)
    await log.close()
  }))

test('a log goes on where it was closed, also at the ends of bundles', () =>
  withLogFolder(async folder => {
    let size = 0
    let origin = ''
    for (const more of [1, 254, 1, 1, 255, 0, 256]) {
      const log = await openAuditLog(folder)
      assert.equal(log.size, size)
      if (origin !== '') assert.equal(log.origin, origin)
      origin = log.origin
      await Promise.all(Array.from({ length: more }, (_, i) => log.append(requestEntry(i))))
      size += more
      const { checkpoint } = openCheckpoint(log.checkpoint(), parseVerifierKey(log.verifierKey), 'a test')
      assert.deepEqual([checkpoint.size, checkpoint.root], [size, mth(entriesOf(folder), `${folder}${size}`)])
      await log.close()
    }
    assert.match(origin, /^verit\/[0-9a-f]{16}$/)
    await assert.rejects(openAuditLog(folder, { origin: 'another' }), fails('VERIT_AUDIT_ORIGIN'))
  }))

test('a second writer is refused while the first lives, and not after it', () =>
  withLogFolder(async folder => {
    const log = await openAuditLog(folder)
    await assert.rejects(openAuditLog(folder), fails('VERIT_AUDIT_LOCKED'))
    await log.close()
    await (await openAuditLog(folder)).close()
    await assert.rejects(log.append(requestEntry(1)), fails('VERIT_AUDIT'))
  }))

test('a checkpoint lost in a power cut is replaced by the one synced before; a changed one is not', () =>
  withLogFolder(async folder => {
    const first = await openAuditLog(folder)
    await first.append(requestEntry(0))
    await first.close()
    const second = await openAuditLog(folder)
    const synced = readFileSync(join(folder, 'checkpoint.synced'))
    await Promise.all([1, 2, 3].map(i => second.append(requestEntry(i))))
    await second.close()
    for (const left of [Buffer.alloc(0), Buffer.alloc(180)]) {
      writeFileSync(join(folder, 'checkpoint.synced'), synced)
      writeFileSync(join(folder, 'checkpoint'), left)
      const again = await openAuditLog(folder)
      assert.equal(again.size, 4)
      await again.close()
    }
    writeFileSync(join(folder, 'checkpoint'), 'something else')
    await assert.rejects(openAuditLog(folder), fails('VERIT_AUDIT_DAMAGED'))
  }))

test('a torn end beyond the checkpoint is cut off, whole entries beyond it are kept', () =>
  withLogFolder(async folder => {
    const first = await openAuditLog(folder)
    for (let i = 0; i < 3; i++) await first.append(requestEntry(i))
    await first.close()
    const path = join(folder, 'tile/entries/000.open')
    const length = statSync(path).size
    const [entry] = splitBundle(readFileSync(path)).entries
    const framed = readFileSync(path).subarray(0, 2 + entry!.length)
    for (const [tail, kept] of [
      [Buffer.of(1), 0],
      [framed.subarray(0, -1), 0],
      [Buffer.alloc(4096), 0],
      [Buffer.from('\x00\x02{}'), 0],
      [framed, 1],
      [Buffer.concat([framed, framed, framed.subarray(0, 9)]), 2]
    ] as const) {
      truncateSync(path, length)
      const before = readFileSync(join(folder, 'checkpoint'))
      appendFileSync(path, tail)
      const log = await openAuditLog(folder)
      assert.equal(log.size, 3 + kept)
      assert.equal(await log.append(requestEntry(9)), 3 + kept)
      await log.close()
      const key = parseVerifierKey(log.verifierKey)
      assert.equal(
        openCheckpoint(log.checkpoint(), key, 'a test').checkpoint.root.toString('hex'),
        mth(entriesOf(folder), `${folder}${kept}${tail.length}`).toString('hex')
      )
      writeFileSync(join(folder, 'checkpoint'), before) // the next case begins with three entries again
    }
  }))

test('what the checkpoint promises must be there, or nothing is signed any more', () =>
  withLogFolder(async folder => {
    const log = await openAuditLog(folder)
    await Promise.all(Array.from({ length: 300 }, (_, i) => log.append(requestEntry(i))))
    await log.close()
    const files = ['checkpoint', 'key', 'tile/0/000', 'tile/entries/000', 'tile/entries/001.open'].map(name =>
      join(folder, name)
    )
    for (const path of files) {
      const good = readFileSync(path)
      for (const damage of [
        () => rmSync(path),
        () => truncateSync(path, good.length - 9),
        () => truncateSync(path, 0),
        () => writeFileSync(path, Buffer.concat([good.subarray(0, 40), Buffer.of(good[40]! ^ 1), good.subarray(41)]))
      ]) {
        damage()
        if (path.endsWith('checkpoint') && statSync(path, { throwIfNoEntry: false })?.size === 0)
          rmSync(join(folder, 'checkpoint.synced')) // else it is recovered from
        // A full bundle's content is the business of `verify`; its writer needs only the last entry of it, when it
        // starts with an empty one.
        if (!path.endsWith('entries/000'))
          await assert.rejects(openAuditLog(folder), fails('VERIT_AUDIT_DAMAGED'), path)
        writeFileSync(path, good, { mode: 0o600 })
      }
    }
    chmodSync(join(folder, 'key'), 0o644)
    await assert.rejects(openAuditLog(folder), fails('VERIT_STATE'))
    chmodSync(join(folder, 'key'), 0o600)
    await (await openAuditLog(folder)).close()
  }))

test('a write that fails takes its group with it, leaves no half entry, and the log goes on once the disk does', () =>
  withLogFolder(async folder => {
    const log = await openAuditLog(folder)
    await log.append(requestEntry(0))
    const [checkpoint, bundle] = [join(folder, 'checkpoint'), join(folder, 'tile/entries/000.open')]
    const length = statSync(bundle).size
    // A folder in the place of the checkpoint: entries can be written, the checkpoint cannot.
    renameSync(checkpoint, `${checkpoint}.aside`)
    mkdirSync(checkpoint)
    for (const some of [1, 255]) {
      const results = await Promise.allSettled(Array.from({ length: some }, (_, i) => log.append(requestEntry(i))))
      for (const result of results)
        assert.ok(
          result.status === 'rejected' &&
            VeritError.is(result.reason, 'VERIT_AUDIT') &&
            result.reason.status === 503 &&
            result.reason.cause !== undefined
        )
      assert.equal(log.size, 1)
    }
    rmdirSync(checkpoint)
    renameSync(`${checkpoint}.aside`, checkpoint)
    assert.equal(await log.append(requestEntry(7)), 1)
    assert.ok(statSync(bundle).size < 2.5 * length)
    assert.ok(!existsSync(join(folder, 'tile/0/000')), 'the tile of a group that failed is gone')
    assert.deepEqual(
      entriesOf(folder).map(e => (parseCanonical(e) as { request: string }).request),
      ['req_0', 'req_7']
    )
    await log.close()
    await (await openAuditLog(folder)).close()
  }))

test('a clock that goes back does not take the log with it', t =>
  withLogFolder(async folder => {
    const start = Date.UTC(2030, 0, 1)
    t.mock.timers.enable({ apis: ['Date'], now: start })
    const log = await openAuditLog(folder)
    for (const at of [5000, 2000, 4999, 5001]) {
      t.mock.timers.setTime(start + at)
      await log.append({ type: 'server', event: 'start', detail: { at } })
    }
    await log.close()
    t.mock.timers.setTime(start)
    const again = await openAuditLog(folder)
    await again.append({ type: 'server', event: 'stop', detail: {} })
    await again.close()
    assert.deepEqual(
      entriesOf(folder).map(e => Date.parse((parseCanonical(e) as AuditEntry).time) - start),
      [5000, 5000, 5000, 5001, 5001]
    )
  }))

test('entries that do not fit the schema are refused alone, whatever they hold', () =>
  withLogFolder(async folder => {
    const log = await openAuditLog(folder)
    const good = requestEntry(1) as unknown as Record<string, unknown>
    const bad: Record<string, unknown>[] = [
      { ...good, extra: 1 },
      { ...good, status: '200' },
      { ...good, type: 'other' },
      { ...good, remote: '\ud800' },
      { ...good, ms: NaN },
      { ...good, parameters: { a: Infinity } },
      { ...good, parameters: { a: 'x'.repeat(60_000) } },
      { ...good, prompt: 'text' },
      { type: 'request' }
    ]
    const results = await Promise.allSettled([
      log.append(requestEntry(0)),
      ...bad.map(entry => log.append(entry as never)),
      log.append(requestEntry(1))
    ])
    assert.deepEqual(
      results.map(r => r.status),
      ['fulfilled', ...bad.map(() => 'rejected'), 'fulfilled']
    )
    for (const r of results) assert.ok(r.status === 'fulfilled' || VeritError.is(r.reason, 'VERIT_INTERNAL'))
    assert.equal(
      await log.append({
        type: 'auth',
        request: 'req_\u0000\n\u2028"\\😀',
        result: 'refused',
        code: 'VERIT_UNAUTHORIZED',
        remote: '::1',
        route: 'GET /'
      }),
      2
    )
    assert.equal(log.size, 3)
    await log.close()
  }))

test('commitments cover the texts under the salt of the entry; only the private key reads texts', () =>
  withLogFolder(async folder => {
    const { privateKey, publicKey } = newTextsKey()
    const path = `${folder}.pub`
    writeFileSync(path, publicKey)
    const plain = await openAuditLog(folder, { origin: 'verit.test/log' })
    await plain.append(requestEntry(0), { prompt: 'p', answer: 'a' })
    await plain.close()
    assert.ok(!existsSync(join(folder, 'texts')))
    const log = await openAuditLog(folder, { textsKey: path })
    const texts = { prompt: 'What is it?', answer: 'Ein Ding. 😀' }
    const index = await log.append(requestEntry(1), texts)
    await log.append(requestEntry(2), texts)
    await log.close()
    const entries = entriesOf(folder).map(e => parseCanonical(e) as AuditEntry & { type: 'request' })
    const day = entries[1]!.time.slice(0, 10)
    const secret = readDaySecret(folder, day)!
    assert.equal(entries[1]!.prompt, commitmentTo(texts.prompt, secret, index))
    assert.equal(entries[1]!.answer, commitmentTo(texts.answer, secret, index))
    assert.notEqual(entries[1]!.prompt, entries[2]!.prompt)
    for (const name of ['checkpoint', 'tile/entries/000.open', `texts/${day}`])
      assert.ok(!readFileSync(join(folder, name), 'utf8').includes('Ding'))
    const lines = [...readTextsFile(folder, day)]
    assert.deepEqual(
      lines.map(l => [l.index, l.request]),
      [
        [1, 'req_1'],
        [2, 'req_2']
      ]
    )
    const reader = readTextsKey(privateKey, 'private')!
    assert.deepEqual(openTexts(lines[0]!, reader, 'verit.test/log'), texts)
    assert.equal(openTexts(lines[0]!, readTextsKey(newTextsKey().privateKey, 'private')!, 'verit.test/log'), undefined)
    assert.equal(openTexts(lines[0]!, reader, 'another'), undefined)
    assert.equal(openTexts({ ...lines[0]!, index: 2 }, reader, 'verit.test/log'), undefined)
    assert.equal(readTextsKey(privateKey, 'public'), undefined)
    await assert.rejects(openAuditLog(folder, { textsKey: join(folder, 'key') }), fails('VERIT_USAGE'))
  }))

test('deleting texts says so first, keeps every entry, and takes the secrets of those days with it', t =>
  withLogFolder(async folder => {
    const path = `${folder}.pub`
    writeFileSync(path, newTextsKey().publicKey)
    t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2030, 0, 1, 12) })
    const log = await openAuditLog(folder, { textsKey: path })
    await log.append(requestEntry(0), { prompt: 'p', answer: 'a' })
    t.mock.timers.setTime(Date.UTC(2030, 0, 11, 12))
    await log.append(requestEntry(1), { prompt: 'p', answer: 'a' })
    assert.deepEqual(await log.deleteTexts(10), [])
    t.mock.timers.setTime(Date.UTC(2030, 0, 12, 0, 0, 1))
    assert.deepEqual(await log.deleteTexts(10), ['2030-01-01'])
    assert.deepEqual(
      ['salts', 'texts'].flatMap(kind => ['2030-01-01', '2030-01-11'].map(day => existsSync(join(folder, kind, day)))),
      [false, true, false, true]
    )
    assert.equal(log.size, 3)
    const last = parseCanonical(entriesOf(folder).at(-1)!) as AuditEntry
    assert.deepEqual(last, {
      type: 'server',
      event: 'texts-deleted',
      detail: { before: '2030-01-02', days: 1, first: '2030-01-01', last: '2030-01-01' },
      time: '2030-01-12T00:00:01.000Z'
    })
    // a day that a clock far ahead has named goes by the age of its file
    for (const [day, age] of [
      ['2031-01-01', 20],
      ['2031-01-02', 5]
    ] as const) {
      writeFileSync(join(folder, 'salts', day), Buffer.alloc(32), { mode: 0o600 })
      utimesSync(join(folder, 'salts', day), Date.now() / 1000 - age * 86_400, Date.now() / 1000 - age * 86_400)
    }
    assert.deepEqual(await log.deleteTexts(10), ['2031-01-01'])
    rmSync(join(folder, 'salts', '2031-01-02'))
    await log.close()
  }))

test('a folder with entries and no key is not taken for a new log; a crash while one begins is', () =>
  withLogFolder(async folder => {
    const log = await openAuditLog(folder)
    await log.append(requestEntry(0))
    await log.close()
    const key = readFileSync(join(folder, 'key'))
    rmSync(join(folder, 'key'))
    await assert.rejects(openAuditLog(folder), fails('VERIT_AUDIT_DAMAGED'))
    rmSync(join(folder, 'tile'), { recursive: true })
    const fresh = await openAuditLog(folder)
    assert.equal(fresh.size, 0)
    await fresh.close()
    // The old key with the new log's checkpoint: not signed by it.
    writeFileSync(join(folder, 'key'), key, { mode: 0o600 })
    await assert.rejects(openAuditLog(folder), fails('VERIT_AUDIT_DAMAGED'))
  }))

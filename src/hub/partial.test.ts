import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { Partial, isAbandoned, isStrong } from './partial.ts'
import { thisHost } from './this-host.ts'

const root = mkdtempSync(join(tmpdir(), 'verit-partial-'))
let quarantine = ''
let n = 0
beforeEach(() => {
  quarantine = join(root, String(n++))
  mkdirSync(quarantine)
})
after(() => rmSync(root, { recursive: true }))

const left = (text: string, about: { etag: string; size: number } | undefined): void => {
  using partial = new Partial(quarantine, 'address')
  partial.restart(about)
  partial.append(Buffer.from(text))
}
const found = (address = 'address'): [number, string | undefined] => {
  using partial = new Partial(quarantine, address)
  return [partial.bytes, partial.about?.etag]
}

test(
  'what was left is taken over for the same address, less the last byte of a whole file; without a tag nothing ' +
    'is left',
  () => {
    left('four', { etag: '"a"', size: 10 })
    assert.deepEqual(found('another'), [0, undefined])
    assert.deepEqual(found(), [4, '"a"'])
    left('0123456789', { etag: '"b"', size: 10 })
    assert.deepEqual(found(), [9, '"b"'])
    left('x', undefined)
    assert.deepEqual(readdirSync(quarantine), [])
  }
)

test('two downloads at once use separate files, and the last one leaves nothing behind', () => {
  const first = new Partial(quarantine, 'address')
  const second = new Partial(quarantine, 'address')
  assert.notEqual(first.path, second.path)
  for (const each of [first, second]) {
    each.restart({ etag: '"a"', size: 10 })
    each.append(Buffer.from('abc'))
    each[Symbol.dispose]()
  }
  assert.equal(readdirSync(quarantine).length, 1)
  assert.deepEqual(found(), [3, '"a"'])
})

test(
  'a folder of a process that is gone is taken over, at the bytes that were synced; notes that make no sense ' +
    'begin anew',
  () => {
    left('abcdef', { etag: '"a"', size: 10 })
    const [key] = readdirSync(quarantine) as [string]
    const dead = join(quarantine, `${key}.${thisHost}-${2 ** 22 + 1}-${'0'.repeat(16)}`)
    renameSync(join(quarantine, key), dead)
    writeFileSync(join(dead, 'data'), 'abcdefnot synced')
    assert.deepEqual(found(), [6, '"a"'])
    for (const about of [
      '',
      'null',
      '[]',
      '{"etag":"a","size":10,"bytes":3}',
      '{"etag":"\\"a\\"","size":0,"bytes":0}',
      '{"etag":"\\"a\\"","size":10,"bytes":-1}',
      '{"etag":"\\"a\\"","size":1e99,"bytes":1}',
      '{"etag":"\\"a\\"","size":99,"bytes":98}',
      '{"etag":"\\"a\\r\\nx: y\\"","size":10,"bytes":3}'
    ]) {
      left('abcdef', { etag: '"a"', size: 10 })
      writeFileSync(join(quarantine, key, 'about.json'), about)
      assert.deepEqual(found(), [0, undefined], about)
    }
  }
)

test('a partial file of another host is taken over after a day without growth', () => {
  left('abcdef', { etag: '"a"', size: 10 })
  const [key] = readdirSync(quarantine) as [string]
  for (const claim of [`${'0'.repeat(16)}-${2 ** 22 + 1}`, `${'0'.repeat(16)}-${process.pid}`, String(2 ** 22 + 1)]) {
    const name = `${key}.${claim}-${'0'.repeat(16)}`
    const other = join(quarantine, name)
    renameSync(join(quarantine, key), other)
    const quietFor = (hours: number, dataToo = true): void => {
      const then = new Date(Date.now() - hours * 3_600_000)
      if (dataToo) utimesSync(join(other, 'data'), then, then)
      utimesSync(other, then, then)
    }
    for (const hours of [0, 23]) {
      quietFor(hours)
      assert.equal(isAbandoned(quarantine, name), false)
      assert.deepEqual(found(), [0, undefined])
    }
    writeFileSync(join(other, 'data'), 'abcdef')
    quietFor(25, false)
    assert.equal(isAbandoned(quarantine, name), false)
    quietFor(25)
    assert.equal(isAbandoned(quarantine, name), true)
    const mine = new Partial(quarantine, 'address')
    assert.equal(mine.bytes, 6)
    assert.ok(Date.now() - statSync(mine.folder).mtimeMs < 3_600_000) // others see that it is new
    mine[Symbol.dispose]()
  }
  // gone meanwhile
  assert.equal(isAbandoned(quarantine, `${'0'.repeat(32)}.${'0'.repeat(16)}-1-${'0'.repeat(16)}`), false)
})

test('a restart forgets the bytes on disk, too', () => {
  using partial = new Partial(quarantine, 'address')
  partial.restart({ etag: '"a"', size: 10 })
  partial.append(Buffer.from('abcdef'))
  partial.restart({ etag: '"b"', size: 2 })
  partial.append(Buffer.from('xy'))
  assert.equal(readFileSync(partial.path, 'utf8'), 'xy')
})

test('strong entity tags are told from weak and malformed ones', () => {
  assert.deepEqual(['"a"', '""', 'W/"a"', 'a', '"a', '"a"b"', '"a b"', `"${'a'.repeat(201)}"`].map(isStrong), [
    true,
    false,
    false,
    false,
    false,
    false,
    false,
    false
  ])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { frameEntry, parseTilePath, splitBundle, tileNumber, tilePath } from './tiles.ts'
import { formatProof, parseProof } from './tlog-proof.ts'
import type { ConsistencyFile, InclusionFile } from './tlog-proof.ts'

test('tiles are numbered as C2SP tlog-tiles has it', () => {
  assert.equal(tileNumber(1234067), 'x001/x234/067')
  assert.equal(tileNumber(0), '000')
  assert.equal(tileNumber(1000), 'x001/000')
  assert.equal(tilePath({ level: 0, index: 5, width: 12 }), 'tile/0/005.p/12')
  assert.equal(tilePath({ level: 'entries', index: 1234 }), 'tile/entries/x001/234')
})

test('a path is read back, and no other spelling of it is a path', () => {
  const place = fc
    .record({
      level: fc.oneof(fc.constant('entries' as const), fc.integer({ min: 0, max: 63 })),
      index: fc.maxSafeNat(),
      width: fc.option(fc.integer({ min: 1, max: 255 }), { nil: undefined })
    })
    .map(({ level, index, width }) => ({ level, index, ...(width === undefined ? {} : { width }) }))
  fc.assert(fc.property(place, p => assert.deepEqual(parseTilePath(tilePath(p)), p)))
  for (const path of [
    'tile/0/0',
    'tile/00/000',
    'tile/64/000',
    'tile/0/x000/001',
    'tile/0/001/x002',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/000/',
    'tile/-1/000',
    'tile/entries/1000',
    '/tile/0/000',
    'tile/0/000.p',
    'tile/0/x999/x999/x999/x999/x999/999'
  ])
    assert.equal(parseTilePath(path), undefined, path)
})

test('a bundle cut anywhere gives the whole entries before the cut', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), fc.nat(), (entries, cut) => {
      const bundle = Buffer.concat(entries.map(frameEntry))
      assert.deepEqual(splitBundle(bundle), { entries: entries.map(e => Buffer.from(e)), end: bundle.length })
      const torn = splitBundle(bundle.subarray(0, cut % (bundle.length + 1)))
      assert.deepEqual(
        torn.entries,
        entries.slice(0, torn.entries.length).map(e => Buffer.from(e))
      )
      assert.ok(torn.end <= cut % (bundle.length + 1))
    })
  )
})

test('proofs are written and read back; anything else is refused', () => {
  const hash = (n: number): Buffer => Buffer.alloc(32, n)
  const inclusion: InclusionFile = {
    kind: 'inclusion',
    index: 73894,
    extra: Buffer.from('entry'),
    proof: [hash(1), hash(2)],
    checkpoint: 'a\n1\nb\n\n— a b\n'
  }
  const consistency: ConsistencyFile = {
    kind: 'consistency',
    oldSize: 12,
    oldRoot: hash(3),
    proof: [hash(1)],
    checkpoint: 'a\n1\nb\n\n— a b\n'
  }
  for (const file of [
    inclusion,
    { ...inclusion, extra: undefined, proof: [] },
    consistency,
    { ...consistency, proof: [] }
  ]) {
    const text = formatProof(file)
    assert.deepEqual(parseProof(text, 'a test'), file)
    for (const bad of [
      text.replace('@v1', '@v2'),
      text.replace(/index |old /, 'at '),
      text.replaceAll('\n\n', '\n'),
      ` ${text}`,
      text.replace('=\n', '\n'),
      text.replace(/(index|old) /, '$1 0')
    ]) {
      if (bad !== text)
        assert.throws(
          () => parseProof(bad, 'a test'),
          e => VeritError.is(e, 'VERIT_NOTE'),
          bad
        )
    }
  }
  assert.equal(formatProof(inclusion).split('\n')[0], 'c2sp.org/tlog-proof@v1')
  assert.throws(
    () => parseProof(formatProof({ ...inclusion, proof: Array.from({ length: 65 }, () => hash(1)) }), 'a test'),
    e => VeritError.is(e, 'VERIT_NOTE')
  )
})

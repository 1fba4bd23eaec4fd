/** The walk over metadata: many strings are judged at once, which must not change what is refused, or where. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { entry, forge, str, stringEntry, u32, u64 } from '../../test/forge.ts'
import { VeritError } from '../lib/errors.ts'
import { ProblemList } from '../lib/problem-list.ts'
import { bytesSource } from '../lib/regular-file.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { checkGguf, parseGgufHeader } from './gguf-header.ts'
import { ggufLimits } from './gguf-limits.ts'
import { parseGguf } from './gguf-reader.ts'

const arrayOf = (strings: Buffer[]): Buffer => entry('k', 9, u32(8), u64(strings.length), ...strings)
/** Position of the first string of the first array of a file. */
const FIRST = 24 + 9 + 4 + 4 + 8

function refusal(work: () => unknown): { problem: string; offset: number } {
  try {
    work()
  } catch (e) {
    assert.ok(VeritError.is(e, 'VERIT_GGUF'), String(e))
    return e.fields
  }
  return assert.fail('it was accepted')
}

test('strings of any lengths are read as they are, across windows', () => {
  const length = fc.oneof(
    fc.nat(300),
    fc.constantFrom(127, 128, 255, 256, 65_535, 65_536, ggufLimits.stringBytes - 1, ggufLimits.stringBytes)
  )
  const unit = fc.constantFrom('a', 'é', '語', '🙂', '\0')
  fc.assert(
    fc.property(fc.array(fc.tuple(unit, length, fc.nat(5000)), { maxLength: 4 }), runs => {
      const texts = runs.flatMap(([u, n, times]) => {
        const text = u.repeat(Math.floor(n / Buffer.byteLength(u)))
        return Array.from({ length: n > 300 ? 2 : times }, () => text)
      })
      const file = parseGguf(forge({ entries: [arrayOf(texts.map(t => str(t)))] }))
      assert.deepEqual(file.metadata.strings('k'), texts)
    }),
    { numRuns: 30 }
  )
})

test('one string that is not UTF-8 among thousands is named, with its byte', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.nat(),
      fc.nat(200),
      fc.constantFrom('ff', 'c3', 'e282', 'eda080', 'c080', 'f4908080'),
      (count, where, length, hex) => {
        const at = where % count
        const good = str('é'.repeat(length))
        const bytes = forge({
          entries: [arrayOf(Array.from({ length: count }, (_, i) => (i === at ? str(Buffer.from(hex, 'hex')) : good)))]
        })
        const expected = {
          file: 'x',
          offset: FIRST + at * good.length,
          problem: `element ${at} of k is not valid UTF-8`
        }
        assert.deepEqual(
          refusal(() => checkGguf(bytesSource(bytes, 'x'))),
          expected
        )
      }
    ),
    { numRuns: 60 }
  )
})

test('a character may not begin in one string and end in the length, or the text, of the next', () => {
  // 0xc3 and the length 0x82 would be one character, if lengths were text
  for (const next of [str('x'.repeat(0x82)), str(Buffer.from([0xa9]))]) {
    assert.match(
      refusal(() => parseGguf(forge({ entries: [arrayOf([str(Buffer.from([0xc3])), next])] }))).problem,
      /element 0 of k is not valid UTF-8/
    )
  }
})

test('an earlier fault is told before a later one, and all of them are when they are collected', () => {
  const bad = str(Buffer.from([0xff]))
  const good = str('good')
  const bytes = forge({
    entries: [arrayOf([good, bad, good, bad, good]), entry('k', 7, Buffer.from([3])), stringEntry('k', 'v')]
  })
  assert.match(refusal(() => checkGguf(bytesSource(bytes, 'x'))).problem, /element 1 of k/)
  const found = new ProblemList()
  checkGguf(bytesSource(bytes, 'x'), found)
  assert.deepEqual(
    found.shown.map(p => p.problem),
    [
      'element 1 of k is not valid UTF-8',
      'element 3 of k is not valid UTF-8',
      'metadata k is a bool with the value 3',
      'the metadata key k appears twice',
      'the metadata key k appears twice'
    ]
  )
  const lying = forge({ entries: [arrayOf([good, bad, str('b', 10_000)])] })
  assert.match(refusal(() => checkGguf(bytesSource(lying, 'x'))).problem, /element 1 of k is not valid UTF-8/)
})

test('a file that is another one when its values are read is refused, and nothing else happens', () => {
  const before = forge({
    entries: [entry('general.alignment', 4, u32(64)), arrayOf([str('one'), str('two')])],
    alignment: 64
  })
  for (const after of [
    forge({ entries: [entry('general.alignment', 4, u32(32)), arrayOf([str('one'), str('two')])] }),
    forge({
      entries: [entry('general.alignment', 4, u32(64)), arrayOf([str('one'), str('tw')]), Buffer.alloc(1)],
      alignment: 64
    }),
    forge({
      entries: [entry('general.alignment', 4, u32(64)), arrayOf([str('one'), str('two', 2n ** 62n)])],
      alignment: 64
    }),
    forge({
      entries: [entry('general.alignment', 4, u32(64)), arrayOf([str('one'), str(Buffer.from([0xff, 0xff, 0xff]))])],
      alignment: 64
    })
  ]) {
    // the check reads from byte 0, the values are read from behind the counts
    const read: ByteSource['read'] = (position, target) =>
      target.set((position === 0 ? before : after).subarray(position, position + target.length))
    refusal(() => parseGgufHeader({ name: 'x', size: before.length, read }))
  }
})

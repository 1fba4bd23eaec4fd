import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  BYTE_PIECES,
  encodeFields,
  models,
  normalizer,
  piece,
  START,
  trainer,
  varint
} from '../../scripts/sentencepiece-writer.ts'
import type { Field } from '../../scripts/sentencepiece-writer.ts'
import { VeritError } from '../lib/errors.ts'
import { ProblemList } from '../lib/problem-list.ts'
import { bytesSource } from '../lib/regular-file.ts'
import { readSentencePieceModel } from './sentencepiece-model.ts'
import { SentencePieceTokenizer } from './sentencepiece.ts'

const read = (bytes: Uint8Array, found?: ProblemList) => readSentencePieceModel(bytesSource(bytes, 'x.model'), found)
const small = [...START, piece('a'), piece('\u2581')]

/** Refused with these words, at this byte where one is given. */
function refused(bytes: Uint8Array, words: RegExp, offset?: number): void {
  assert.throws(
    () => read(bytes),
    (e: unknown) => {
      assert.ok(VeritError.is(e, 'VERIT_SENTENCEPIECE'), String(e))
      assert.match(e.fields.problem, words)
      if (offset !== undefined) assert.equal(e.fields.offset, offset, e.message)
      assert.ok(e.fields.offset >= 0 && e.fields.offset <= bytes.length)
      return true
    }
  )
}
const changed = (fields: readonly Field[], words: RegExp, offset?: number): void =>
  refused(encodeFields(fields), words, offset)

test('sound models are read, in any order of their fields, with fields that mean nothing', () => {
  for (const fields of Object.values(models)) {
    const { parts, normalizer: name } = read(encodeFields(fields))
    assert.equal(name, 'identity')
    assert.deepEqual([parts.unknown, parts.beginOfText, parts.endOfText], [0, 1, 2])
    const settings = fields.filter(([n]) => n !== 1)
    const pieces = fields.filter(([n]) => n === 1)
    const more: Field[] = [
      [9, { float: 1 }],
      [9, { varint: 2n ** 64n - 1n }],
      [300, { bytes: 'x' }],
      [7, { raw: Buffer.concat([varint(7 * 8 + 1), Buffer.alloc(8)]) }]
    ]
    assert.deepEqual(read(encodeFields([...settings, ...more, ...pieces])).parts, parts)
  }
  const bytes = new SentencePieceTokenizer(read(encodeFields(models.bytes)).parts)
  assert.equal(bytes.decode(bytes.encode('the tin <tag>  and é国')), 'the tin <tag>  and é国')
  const defaults = read(encodeFields([...small, trainer(false)])).parts
  assert.deepEqual(
    [defaults.addDummyPrefix, defaults.removeExtraWhitespaces, defaults.escapeWhitespaces, defaults.unknownSurface],
    [true, true, true, ' \u2047 ']
  )
})

test('lengths, varints and tags that do not fit what is there are refused where they stand', () => {
  const head = encodeFields(small)
  const at = head.length
  const ends = (...bytes: (number | Buffer)[]): Buffer =>
    Buffer.concat([head, ...bytes.map(b => (typeof b === 'number' ? Buffer.of(b) : b))])
  refused(ends(0x0a, 1), /field 1 has 1 bytes, where 0 are left/, at + 1)
  for (const length of [2n ** 31n, 2n ** 32n - 1n, 2n ** 53n - 1n])
    refused(ends(0x0a, varint(length)), /has \d+ bytes, where 0 are left/, at + 1)
  for (const length of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n, -1n])
    refused(ends(0x0a, varint(length)), /is \d+, more than there can be/, at + 1)
  refused(ends(0x0a), /does not end before its message/, at + 1)
  refused(ends(0x0a, 0x80), /does not end before its message/, at + 1)
  refused(ends(0x48, Buffer.alloc(10, 0x80), 0), /more than ten bytes/, at + 1)
  refused(ends(0x48, Buffer.alloc(9, 0xff), 2), /more than 64 bits/, at + 1)
  refused(ends(0), /a field has the number 0/, at)
  refused(ends(varint(2n ** 32n + 8n)), /tag is \d+, more than there can be/, at)
  for (const wire of [3, 4, 6, 7]) refused(ends(9 * 8 + wire), /has the wire type/, at)
  refused(ends(9 * 8 + 1, Buffer.alloc(7)), /ends 1 bytes too early/, at + 1)
  // A length that fits the file, but not the message around it.
  changed(
    [...small, [1, { bytes: Buffer.of(0x0a, 9) }], piece('abcdefgh')],
    /field 1 has 9 bytes, where 0 are left/,
    at + 3
  )
})

test('fields of another type than theirs, and numbers beyond their type, are refused', () => {
  changed([...small, [1, { varint: 1 }]], /field 1 is stored as a varint, where bytes with a length is expected/)
  changed([...small, [1, { message: [[1, { varint: 1 }]] }]], /stored as a varint/)
  changed(
    [
      ...small,
      [
        1,
        {
          message: [
            [1, { bytes: 'b' }],
            [2, { bytes: 'abcd' }]
          ]
        }
      ]
    ],
    /stored as bytes with a length, where 4 bytes is expected/
  )
  changed(
    [
      ...small,
      [
        1,
        {
          message: [
            [1, { bytes: 'b' }],
            [3, { float: 1 }]
          ]
        }
      ]
    ],
    /stored as 4 bytes, where a varint is expected/
  )
  for (const type of [2n ** 31n, 2n ** 32n + 1n, 2n ** 63n])
    changed([...small, piece('b', 0, 0), [1, { message: [[3, { varint: type }]] }]], /does not fit into 32 bits/)
  changed([...small, trainer(false, [[24, { varint: 2 }]])], /is 2, where 0 or 1 is expected/)
  changed([...small, [1, { message: [[1, { bytes: Buffer.of(0xff) }]] }]], /piece 5 is not valid UTF-8/)
  changed([...small, [1, { message: [[1, { bytes: 'a'.repeat(769) }]] }]], /more than the limit of 768/)
})

test('settings that stand twice are refused: programs could differ about which one counts', () => {
  changed([...small, trainer(false), trainer(false)], /field 2 appears twice/)
  changed([...small, trainer(false, [[3, { varint: 2 }]])], /field 3 appears twice/)
  changed(
    [
      ...small,
      trainer(false),
      [
        1,
        {
          message: [
            [1, { bytes: 'b' }],
            [1, { bytes: 'c' }]
          ]
        }
      ]
    ],
    /field 1 appears twice/
  )
})

test('rules that Verit does not implement are refused in these words', () => {
  const type = (n: number): Field => [2, { message: [[3, { varint: n }]] }]
  changed(small, /model type is unigram, which Verit does not encode/)
  for (const [n, name] of [
    [1, 'unigram'],
    [3, 'word'],
    [4, 'char'],
    [0, '0'],
    [-1, '-1']
  ] as const)
    changed([...small, type(n)], new RegExp(`model type is ${name}, which`))
  changed(
    [
      ...small,
      trainer(false),
      [
        3,
        {
          message: [
            [1, { bytes: 'nmt_nfkc' }],
            [2, { bytes: 'xyz' }]
          ]
        }
      ]
    ],
    /normalizer \(nmt_nfkc\) rewrites text by 3 bytes of rules/
  )
  changed([...small, trainer(false), [5, { message: [[2, { bytes: 'xyz' }]] }]], /rewrites decoded text by 3 bytes/)
  changed([...small, trainer(false, [[24, { varint: 1 }]])], /puts spaces after words/)
})

test('ids of roles are pieces that have the role', () => {
  for (const number of [40, 41, 42, 43]) {
    for (const id of [5, -2, 2 ** 31 - 1, -(2 ** 31)])
      changed([...small, trainer(false, [[number, { varint: id }]])], /is not one of the 5 pieces/)
    changed([...small, trainer(false, [[number, { varint: 4 }]])], /id is 4, where/)
  }
  const { parts } = read(
    encodeFields([
      ...small,
      piece('[CLS]', 0, 3),
      trainer(false, [
        [41, { varint: 5 }],
        [46, { bytes: '[CLS]' }],
        [42, { varint: -1 }],
        [47, { bytes: 'none' }]
      ])
    ])
  )
  assert.deepEqual([parts.beginOfText, parts.endOfText], [5, undefined])
  changed([...small, piece('<more>', 0, 2), trainer(false)], /2 unknown pieces/)
  changed([...small.slice(1), trainer(false)], /0 unknown pieces/)
})

test('faults of pieces are told with the byte of the piece, all of them when a list is given', () => {
  const fields = [
    ...START,
    ...BYTE_PIECES.slice(1),
    piece('<0x-1>', 0, 6),
    piece('a', NaN),
    piece('a', Infinity),
    piece('b', 0, 9),
    trainer(true),
    normalizer([[2, { bytes: 'x' }]])
  ]
  const found = new ProblemList()
  read(encodeFields(fields), found)
  const offset = (n: number): number => encodeFields(fields.slice(0, n)).length
  assert.deepEqual(found.shown, [
    {
      problem:
        'its normalizer (identity) rewrites text by 1 bytes of rules, which Verit does not do; identity has none',
      offset: offset(fields.length - 1)
    },
    { problem: 'piece 259 ("a") has the score NaN', offset: offset(259) },
    { problem: 'piece 260 ("a") has the score Infinity', offset: offset(260) },
    { problem: 'piece 261 ("b") has the type 9, where 1 to 6 are known', offset: offset(261) },
    { problem: 'piece 258 is "<0x-1>", where a byte piece is <0x00> to <0xFF>', offset: offset(258) },
    { problem: '1 of its 256 byte pieces are missing, the first for the byte 0', offset: 0 }
  ])
  changed(fields, /rewrites text/, offset(fields.length - 1))
  changed([], /has 0 pieces|model type/)
})

test('a file larger than the limit is refused unread', () => {
  const size = 2 ** 25 + 1
  assert.throws(
    () => readSentencePieceModel({ name: 'x', size, read: () => assert.fail('it was read') }),
    (e: unknown) => VeritError.is(e, 'VERIT_SENTENCEPIECE') && /33554433 bytes/.test(e.message)
  )
})

test(
  'fields that mean nothing are counted, in the file and in its messages: millions of them would take ' + 'seconds',
  () => {
    const many = Buffer.alloc(7 << 20, Buffer.concat([varint(9 * 8), varint(0)]))
    refused(Buffer.concat([encodeFields(small), many]), /more fields than the limit of 3145728/)
    changed([...small, [1, { bytes: many }]], /more fields than the limit of 3145728/)
  }
)

test('any bytes, and a sound file with any change, are read or refused in order', () => {
  const sound = encodeFields(models.unknown)
  const attempt = (bytes: Uint8Array): void => {
    try {
      new SentencePieceTokenizer(read(bytes).parts).encode('aba ab 国')
    } catch (e) {
      assert.ok(VeritError.is(e, 'VERIT_SENTENCEPIECE'), String(e))
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), attempt))
  fc.assert(
    fc.property(fc.nat(sound.length - 1), fc.nat(255), (at, byte) => {
      const copy = Buffer.from(sound)
      copy[at] = byte
      attempt(copy)
      attempt(copy.subarray(0, at))
    }),
    { numRuns: 1000 }
  )
})

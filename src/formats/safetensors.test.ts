import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { openSafetensors, parseSafetensors, readSafetensors, writeSafetensors } from './safetensors.ts'
import type { SafetensorsInput } from './safetensors.ts'
import { safetensorsBytes, safetensorsDtypes } from './safetensors-header.ts'
import type { SafetensorsDtype } from './safetensors-header.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-safetensors-'))
after(() => rmSync(dir, { recursive: true }))
const path = join(dir, 'a.safetensors')

/** A file from header text (padded by nothing) and data; `claimed` replaces the length of the header. */
function forge(header: string | Buffer, data = 0, claimed?: bigint): Buffer {
  const bytes = Buffer.from(header as string)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(claimed ?? BigInt(bytes.length))
  return Buffer.concat([length, bytes, Buffer.alloc(data)])
}

const one = (fields: string): Buffer => forge(`{"w":{${fields}}}`, 8)
const valid = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'
const entries = (...list: [string, number, number][]): string =>
  `{${list.map(([name, a, b]) => `"${name}":{"dtype":"U8","shape":[${b - a}],"data_offsets":[${a},${b}]}`).join(',')}}`

const cases: [string, Buffer, RegExp][] = [
  ['an empty file', Buffer.alloc(0), /it is an empty file/],
  ['a header length of 2^64 - 1', forge('{}', 0, 2n ** 64n - 1n), /more than the limit/],
  ['a header longer than the file', forge('{}', 0, 3n), /claims 3 bytes of the 2 that follow/],
  ['a header that is no object', forge('[]'), /does not begin with \{/],
  ['a header that is not UTF-8', forge(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])), /not valid UTF-8/],
  [
    'a header of millions of values, which would take gigabytes',
    forge(`{"a":[${'{},'.repeat(1 << 20)}{}]}`),
    /more than 1048576 values/
  ],
  [
    'a header of too many names',
    forge(`{${Array.from({ length: 65_538 }, (_, i) => `"${i}":1`).join()}}`),
    /more than 65537 names/
  ],
  ['text after the header', forge('{}x'), /something follows/],
  ['a header that ends early', forge('{"a":'), /is expected/],
  ['a string that does not end', forge('{"a'), /does not end/],
  ['a string that ends in a backslash', forge('{"a\\'), /does not end/],
  ['a raw line break in a string', forge('{"a\n":0}'), /control character or a wrong escape/],
  ['a wrong escape', forge('{"\\x":0}'), /wrong escape/],
  ['a lone surrogate', forge('{"\\ud800":0}'), /not valid Unicode/],
  ['nesting a million deep', forge(`{"a":${'['.repeat(1_000_000)}`), /nested more than 4/],
  ['a key that appears twice', forge(`{"w":{${valid}},"w":{${valid}}}`, 8), /a name appears twice/],
  ['a field that appears twice', one(`${valid},"dtype":"I32"`), /appears twice/],
  ['a negative number', one('"dtype":"F32","shape":[-2],"data_offsets":[0,8]'), /non-negative integer/],
  ['a fraction', one('"dtype":"F32","shape":[2.0],"data_offsets":[0,8]'), /"\]" is expected/],
  ['a leading zero', one('"dtype":"F32","shape":[02],"data_offsets":[0,8]'), /begins with 0/],
  ['an integer of 17 digits', one('"dtype":"F32","shape":[10000000000000000],"data_offsets":[0,8]'), /too large/],
  ['null', forge('{"w":null}'), /is expected/],
  ['an entry that is no object', forge('{"w":[1]}'), /not described by an object/],
  ['an unknown dtype', one('"dtype":"F8","shape":[8],"data_offsets":[0,8]'), /dtype F8/],
  ['a dtype named like a method', one('"dtype":"toString","shape":[8],"data_offsets":[0,8]'), /dtype toString/],
  ['no dtype', one('"shape":[8],"data_offsets":[0,8]'), /dtype missing/],
  ['no shape', one('"dtype":"U8","data_offsets":[0,8]'), /no shape/],
  ['a shape of strings', one('"dtype":"U8","shape":["8"],"data_offsets":[0,8]'), /no shape/],
  ['three offsets', one('"dtype":"U8","shape":[8],"data_offsets":[0,8,8]'), /no data_offsets/],
  ['nine dimensions', one('"dtype":"F32","shape":[2,1,1,1,1,1,1,1,1],"data_offsets":[0,8]'), /9 dimensions/],
  ['an unknown field', one(`${valid},"more":1`), /unknown field more/],
  [
    'a shape whose product wraps',
    one('"dtype":"U8","shape":[4294967296,4294967296,8],"data_offsets":[0,8]'),
    /bytes allowed/
  ],
  ['a shape that does not match', one('"dtype":"F32","shape":[3],"data_offsets":[0,8]'), /needs 12 bytes/],
  ['offsets that run backwards', one('"dtype":"F32","shape":[2],"data_offsets":[8,0]'), /offsets 8 to 0/],
  ['data beyond the end', forge(entries(['a', 0, 9]), 8), /beyond the end/],
  ['data that belongs to nothing', forge(entries(['a', 0, 7]), 8), /1 bytes after the last tensor/],
  ['a gap', forge(entries(['a', 0, 2], ['b', 4, 8]), 8), /2 bytes before tensor b/],
  ['an overlap', forge(entries(['a', 0, 5], ['b', 4, 8]), 8), /tensor b overlaps/],
  ['two tensors in one place', forge(entries(['a', 0, 8], ['b', 0, 8]), 8), /overlaps/],
  ['an empty tensor inside another', forge(entries(['a', 0, 8], ['b', 4, 4]), 8), /overlaps/],
  ['a name with an ANSI sequence', forge('{"\\u001b[2J":{}}'), /empty or holds control characters/],
  ['metadata that is no text', forge('{"__metadata__":{"a":1}}'), /__metadata__ a is not a string/],
  ['metadata that is no object', forge('{"__metadata__":"a"}'), /not an object/]
]

for (const [what, file, expected] of cases) {
  test(`${what} is refused with its place`, () => {
    assert.throws(
      () => parseSafetensors(file),
      (e: unknown) => {
        assert.ok(VeritError.is(e, 'VERIT_SAFETENSORS'), String(e))
        assert.match(e.fields.problem, expected)
        return e.fields.offset >= 0 && e.fields.offset <= file.length
      }
    )
  })
}

test('files that other writers make are accepted: spaces, scalars, empty tensors, keys named like prototypes', () => {
  const file = parseSafetensors(forge(` {}`.trim() + '   '))
  assert.equal(file.tensors.size, 0)
  const odd = parseSafetensors(
    forge(
      '{ "__proto__" : {"dtype":"F32","shape":[],"data_offsets":[0,4]},\n"e":{"dtype":"I64","shape":[0,5],"data_offsets":[4,4]},' +
        '"__metadata__":{"__proto__":"x","toString":"y"} }',
      4
    )
  )
  assert.deepEqual([...odd.tensors.keys()], ['__proto__', 'e'])
  assert.equal(odd.read('__proto__').length, 4)
  assert.deepEqual(Object.entries(odd.metadata), [
    ['__proto__', 'x'],
    ['toString', 'y']
  ])
  assert.throws(() => odd.read('toString'), /there is no tensor toString/)
})

const tensor: fc.Arbitrary<SafetensorsInput> = fc
  .tuple(
    fc.constantFrom(...(Object.keys(safetensorsDtypes) as SafetensorsDtype[])),
    fc.array(fc.nat(4), { maxLength: 4 }),
    fc.nat(255)
  )
  .map(([dtype, shape, fill]) => ({ dtype, shape, data: new Uint8Array(safetensorsBytes(dtype, shape)!).fill(fill) }))
const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .filter(s => s !== '__metadata__' && !/\p{Cc}/u.test(s))

test('whatever is written is read back the same; the order of the map does not matter', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(name, tensor), { selector: e => e[0], maxLength: 6 }),
      fc.dictionary(name, fc.string({ unit: 'grapheme' })),
      (list, metadata) => {
        const size = writeSafetensors(path, new Map(list), metadata)
        const bytes = readFileSync(path)
        assert.equal(bytes.length, size)
        const back = readSafetensors(path)
        assert.deepEqual({ ...back.metadata }, { ...metadata })
        assert.equal(back.tensors.size, list.length)
        for (const [key, t] of list) assert.deepEqual(back.tensors.get(key), t)
        writeSafetensors(path, new Map(list.toReversed()), Object.fromEntries(Object.entries(metadata).reverse()))
        assert.deepEqual(readFileSync(path), bytes)
      }
    ),
    { numRuns: 60 }
  )
})

test('typed arrays and functions are written as they lie in memory, and each tensor is aligned to its element', () => {
  const floats = Float32Array.of(0, 1, 2, 3)
  writeSafetensors(
    path,
    new Map<string, SafetensorsInput>([
      ['bytes', { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
      ['part', { dtype: 'F32', shape: [2], data: () => floats.subarray(1, 3) }],
      ['wide', { dtype: 'I64', shape: [1], data: BigInt64Array.of(-1n) }]
    ])
  )
  using file = openSafetensors(path)
  assert.deepEqual([...file.tensors.keys()], ['wide', 'part', 'bytes'])
  assert.deepEqual(new Float32Array(file.read('part').buffer), Float32Array.of(1, 2))
  for (const t of file.tensors.values()) assert.equal(t.offset % safetensorsDtypes[t.dtype], 0)
  truncateSync(path, 20)
  assert.throws(
    () => file.read('part'),
    (e: unknown) => VeritError.is(e, 'VERIT_FILE_IO')
  )
})

test('the writer refuses what the reader would, and leaves the old file as it was', () => {
  writeFileSync(path, 'old')
  const refused = (key: string, t: SafetensorsInput, code: 'VERIT_MODEL_WRITE' | 'VERIT_INTERNAL'): void =>
    assert.throws(
      () => writeSafetensors(path, new Map([[key, t]])),
      (e: unknown) => VeritError.is(e, code)
    )
  const data = new Uint8Array(4)
  refused('', { dtype: 'U8', shape: [4], data }, 'VERIT_MODEL_WRITE')
  refused('a\n', { dtype: 'U8', shape: [4], data }, 'VERIT_MODEL_WRITE')
  refused('a', { dtype: 'U8', shape: [-4], data }, 'VERIT_MODEL_WRITE')
  refused('a', { dtype: 'U8', shape: [2 ** 40], data }, 'VERIT_MODEL_WRITE')
  refused('a', { dtype: 'U8', shape: [5], data }, 'VERIT_INTERNAL')
  assert.equal(readFileSync(path, 'utf8'), 'old')
  assert.deepEqual(readdirSync(dir), ['a.safetensors'])
})

test('any flipped bit or cut of a valid file is refused or gives a file that reads', () => {
  writeSafetensors(
    path,
    new Map([
      ['a', { dtype: 'F32', shape: [2, 2], data: new Float32Array(4) }],
      ['b', { dtype: 'U8', shape: [3], data: new Uint8Array(3) }]
    ]),
    { k: 'v' }
  )
  const bytes = readFileSync(path)
  const attempt = (changed: Uint8Array): void => {
    try {
      const file = parseSafetensors(changed)
      for (const key of file.tensors.keys()) file.read(key)
    } catch (e) {
      assert.ok(VeritError.is(e, 'VERIT_SAFETENSORS'), String(e))
    }
  }
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Uint8Array.from(bytes)
    changed[bit >> 3]! ^= 1 << (bit & 7)
    attempt(changed)
  }
  for (let length = 0; length < bytes.length; length++)
    assert.throws(
      () => parseSafetensors(bytes.subarray(0, length)),
      (e: unknown) => VeritError.is(e, 'VERIT_SAFETENSORS')
    )
})

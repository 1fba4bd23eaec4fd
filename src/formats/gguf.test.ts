import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { openGguf, parseGguf } from './gguf-reader.ts'
import { ggufTensorSize, ggufTypes } from './gguf-types.ts'
import type { GgufTypeName } from './gguf-types.ts'
import { gguf, ggufArrays } from './gguf-value.ts'
import type { GgufValue } from './gguf-value.ts'
import { writeGguf } from './gguf-writer.ts'
import type { GgufContent } from './gguf-writer.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-gguf-'))
after(() => rmSync(dir, { recursive: true }))
const path = join(dir, 'a.gguf')

const text = fc.string({ unit: 'grapheme', maxLength: 20 })
const key = fc.string({ unit: fc.constantFrom(...'abcdefghijklmnop._-0'), minLength: 1, maxLength: 40 })
const number = fc
  .constantFrom('u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'f64')
  .chain(type =>
    fc
      .uint8Array({ minLength: 8, maxLength: 8 })
      .map((b): GgufValue => ({ type, value: new ggufArrays[type](b.buffer as ArrayBuffer)[0]! }))
  )
const numbers = fc
  .constantFrom(...(Object.keys(ggufArrays) as (keyof typeof ggufArrays)[]))
  .chain(of =>
    fc
      .nat(4)
      .chain(n =>
        fc
          .uint8Array({ minLength: 8 * n, maxLength: 8 * n })
          .map(b => ({ type: 'array', of, value: new ggufArrays[of](b.slice().buffer) }) as GgufValue)
      )
  )
const value: fc.Arbitrary<GgufValue> = fc.oneof(
  number,
  numbers,
  text.map(gguf.string),
  fc.boolean().map(gguf.bool),
  fc.array(text, { maxLength: 5 }).map(gguf.strings),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(gguf.u64),
  fc.array(fc.boolean()).map(v => ({ type: 'array', of: 'bool', value: v }) as const)
)
const tensor = fc
  .tuple(
    fc.constantFrom(...(Object.keys(ggufTypes) as GgufTypeName[])),
    fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
    fc.nat(255)
  )
  .map(([type, ne, fill]) => {
    const shape = [...ne.slice(1), ne[0]! * ggufTypes[type].block]
    const size = ggufTensorSize(type, shape.toReversed())
    assert.ok(typeof size === 'object')
    return { type, shape, data: new Uint8Array(size.bytes).fill(fill) }
  })
const content: fc.Arbitrary<GgufContent> = fc.record({
  metadata: fc.uniqueArray(fc.tuple(key, value), { selector: e => e[0], maxLength: 8 }),
  tensors: fc
    .uniqueArray(tensor, { maxLength: 4, selector: t => t })
    .map(list => list.map((t, i) => ({ ...t, name: `t.${i}` }))),
  alignment: fc.constantFrom(8, 32, 64, 4096)
})

test('whatever is written is read back the same, and writing it again gives the same bytes', () => {
  fc.assert(
    fc.property(content, c => {
      const size = writeGguf(path, c)
      const bytes = readFileSync(path)
      assert.equal(bytes.length, size)
      using file = openGguf(path)
      assert.equal(file.version, 3)
      assert.equal(file.alignment, c.alignment)
      const entries = [...file.metadata.entries].filter(([k]) => k !== 'general.alignment')
      assert.deepEqual(entries, [...c.metadata])
      assert.deepEqual(
        file.tensors.map(t => [t.name, t.type, t.shape, t.ne]),
        c.tensors.map(t => [t.name, t.type, t.shape, t.shape.toReversed()])
      )
      for (const t of c.tensors) {
        assert.equal(file.tensor(t.name).offset % c.alignment!, 0)
        assert.deepEqual(file.readTensor(t.name), t.data)
      }
      writeGguf(path, c)
      assert.deepEqual(readFileSync(path), bytes)
      assert.deepEqual(parseGguf(bytes).tensors, file.tensors)
    }),
    { numRuns: 60 }
  )
})

test('arrays of numbers keep every bit, those of a NaN included', () => {
  const bits = Uint32Array.of(0x7fc00001, 0xff812345, 0x80000000, 0x7fa00000)
  writeGguf(path, {
    metadata: [['a', { type: 'array', of: 'f32', value: new Float32Array(bits.buffer) }]],
    tensors: []
  })
  using file = openGguf(path)
  const read = file.metadata.entries.get('a')!
  assert.ok(read.type === 'array' && read.of === 'f32')
  assert.deepEqual(new Uint32Array(read.value.buffer), bits)
})

test('a tensor made by a function is asked for in its turn', () => {
  const order: string[] = []
  const lazy = (name: string) => ({
    name,
    type: 'F32' as const,
    shape: [2],
    data: () => (order.push(name), new Uint8Array(8))
  })
  writeGguf(path, { metadata: [], tensors: [lazy('a'), lazy('b')] })
  assert.deepEqual(order, ['a', 'b'])
})

test('accessors give typed values, fall back when allowed, and name the key and its place when not', () => {
  const metadata: [string, GgufValue][] = [
    ['s', gguf.string('text')],
    ['n', gguf.u8(7)],
    ['big', gguf.u64(2n ** 60n)],
    ['neg', gguf.i32(-1)],
    ['x', gguf.f32(0.5)],
    ['nan', gguf.f32(NaN)],
    ['b', gguf.bool(true)],
    ['list', gguf.strings(['a'])],
    ['ints', gguf.i32s([1, -2])],
    ['floats', gguf.f32s([1, Infinity])]
  ]
  writeGguf(path, { metadata, tensors: [] })
  using file = openGguf(path)
  const m = file.metadata
  assert.deepEqual(
    [m.string('s'), m.uint('n'), m.float('x'), m.bool('b'), m.strings('list'), m.ints('ints')],
    ['text', 7, 0.5, true, ['a'], [1, -2]]
  )
  assert.deepEqual(
    [
      m.string('?', 'd'),
      m.uint('?', 3),
      m.float('?', 2.5),
      m.bool('?', false),
      m.strings('?', []),
      m.ints('?', []),
      m.floats('?', [])
    ],
    ['d', 3, 2.5, false, [], [], []]
  )
  const refused = (work: () => unknown, expected: RegExp): void =>
    assert.throws(work, (e: unknown) => VeritError.is(e, 'VERIT_GGUF') && expected.test(e.message))
  refused(() => m.string('?'), /metadata \? is missing/)
  refused(() => m.uint('s', 1), /at byte 24, metadata s is string text, where an integer is expected/)
  refused(() => m.uint('big'), /from 0 to 2\^53/)
  refused(() => m.uint('neg'), /from 0 to 2\^53/)
  refused(() => m.uint('x'), /an integer is expected/)
  refused(() => m.uint('b'), /an integer is expected/)
  refused(() => m.float('nan'), /a finite float/)
  refused(() => m.float('n'), /a float is expected/)
  refused(() => m.strings('ints'), /an array of i32, where an array of strings/)
  refused(() => m.ints('list'), /an array of integers/)
  refused(() => m.floats('floats'), /an array of finite floats/)
  refused(() => file.readTensor('none'), /there is no tensor none/)
})

test('the writer refuses what the reader would, and leaves the old file as it was', () => {
  writeFileSync(path, 'old')
  const data = new Uint8Array(8)
  const t = (name: string, shape: number[] = [2]) => ({ name, type: 'F32' as const, shape, data })
  const refused = (c: GgufContent, expected: RegExp): void => {
    assert.throws(
      () => writeGguf(path, c),
      (e: unknown) => VeritError.is(e, 'VERIT_MODEL_WRITE') && expected.test(e.message)
    )
  }
  refused({ metadata: [], tensors: [t('a'), t('a')] }, /appears twice/)
  refused({ metadata: [], tensors: [t('n'.repeat(64))] }, /longer than 63 bytes/)
  refused({ metadata: [], tensors: [t('a', [1, 0])] }, /shape is \[1, 0\]/)
  refused({ metadata: [], tensors: [t('a', [1, 1, 1, 1, 2])] }, /5 dimensions/)
  refused({ metadata: [], tensors: [{ name: 'a', type: 'Q8_0', shape: [31], data }] }, /packs 32 weights a block/)
  refused({ metadata: [['', gguf.u8(1)]], tensors: [] }, /key is empty/)
  refused(
    {
      metadata: [
        ['k', gguf.u8(1)],
        ['k', gguf.u8(1)]
      ],
      tensors: []
    },
    /appears twice/
  )
  refused({ metadata: [], tensors: [], alignment: 24 }, /power of two/)
  refused({ metadata: [['general.alignment', gguf.u32(64)]], tensors: [t('a')] }, /./)
  assert.throws(
    () => writeGguf(path, { metadata: [], tensors: [t('a', [3])] }),
    (e: unknown) => VeritError.is(e, 'VERIT_INTERNAL')
  )
  assert.equal(readFileSync(path, 'utf8'), 'old')
  assert.deepEqual(readdirSync(dir), ['a.gguf'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from './errors.ts'
import { JSON_ALL_NAMES, JSON_DEPTH, JSON_INDICES, JSON_NAMES, JSON_VALUES } from './strict-json.ts'
import { parseStrictJson, readJsonBody } from './strict-json.ts'

const parse = (text: string): unknown => parseStrictJson(Buffer.from(text))
const refused = (e: unknown): boolean => VeritError.is(e, 'VERIT_JSON')

test('what JSON.parse reads from an object without repeated or forbidden names is read alike', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), text => {
      let expected: unknown
      try {
        expected = parse(text)
      } catch (e) {
        assert.ok(refused(e))
        return assert.match(text, /"(?:__proto__|constructor|prototype)"|\\u/)
      }
      assert.deepEqual(expected, JSON.parse(text))
    })
  )
})

test('any text is read or refused with an error of the table', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', ',', ':', '\\', 'a', '1', ' ', '\\u0061', '"a"') }),
      text => {
        try {
          assert.deepEqual(parse(text), JSON.parse(text))
        } catch (e) {
          assert.ok(refused(e), text)
        }
      }
    ),
    { numRuns: 3000 }
  )
})

test('a name twice in one object is refused, also when it is written with an escape; in two objects it is not', () => {
  for (const text of ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '[{"b":{"a":1,"c":[],"a":2}}]', '{"":1,"":1}'])
    assert.throws(() => parse(text), refused, text)
  assert.deepEqual(parse('{"a":{"a":1},"b":[{"a":2},{"a":3}],"c":"a"}'), {
    a: { a: 1 },
    b: [{ a: 2 }, { a: 3 }],
    c: 'a'
  })
})

test('names that reach into prototypes are refused at any depth; as values they are text', () => {
  for (const name of ['__proto__', 'constructor', 'prototype', '\\u005f_proto__']) {
    assert.throws(() => parse(`{"${name}":1}`), refused)
    assert.throws(() => parse(`{"a":[{"${name}":{}}]}`), refused)
  }
  assert.deepEqual(parse('{"a":"__proto__"}'), { a: '__proto__' })
})

test('nesting is accepted to the limit and not beyond, and a hundred thousand brackets are refused at once', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
  assert.ok(Array.isArray(parse(nested(JSON_DEPTH))))
  assert.throws(() => parse(nested(JSON_DEPTH + 1)), refused)
  assert.throws(() => parse('['.repeat(100_000)), refused)
  assert.throws(() => parse('{"a":'.repeat(100_000)), refused)
})

test('bytes that are not UTF-8, a byte order mark and trailing text are refused', () => {
  assert.throws(
    () => parseStrictJson(Buffer.from([0x22, 0xc0, 0x80, 0x22])),
    (e: unknown) => VeritError.is(e, 'VERIT_CONTENT_TYPE')
  )
  assert.throws(
    () => parseStrictJson(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])),
    (e: unknown) => VeritError.is(e, 'VERIT_CONTENT_TYPE')
  )
  for (const text of ['\ufeff{}', '{}{}', '', 'NaN', '{"a":1e}', "{'a':1}", '{"a":"\n"}'])
    assert.throws(() => parse(text), refused, text)
})

test('nesting has the configured limit', () => {
  const bytes = (depth: number) => Buffer.from('['.repeat(depth) + ']'.repeat(depth))
  assert.ok(parseStrictJson(bytes(20), 20))
  assert.throws(() => parseStrictJson(bytes(21), 20), refused)
})

test('names are bounded in one object and in all', () => {
  const object = (n: number) => `{${Array.from({ length: n }, (_, i) => `"n${i}":0`).join()}}`
  assert.equal(Object.keys(parse(object(JSON_NAMES)) as object).length, JSON_NAMES)
  assert.throws(() => parse(object(JSON_NAMES + 1)), refused)
  const list = (n: number) => `[${Array(n).fill('{"a":0}').join()}]`
  assert.equal((parse(list(JSON_ALL_NAMES)) as unknown[]).length, JSON_ALL_NAMES)
  assert.throws(() => parse(list(JSON_ALL_NAMES + 1)), refused)
})

test(
  'texts that look like array indices are bounded, as names and as values; longer numbers and escapes are ' +
    'texts like others',
  () => {
    const list = (n: number, item: (i: number) => string) => `[${Array.from({ length: n }, (_, i) => item(i)).join()}]`
    assert.ok(parse(list(JSON_INDICES, i => `"${i}"`)))
    for (const item of [
      (i: number) => `"${i}"`,
      (i: number) => `{"${i}":0}`,
      () => '{"\\u0031":0}',
      () => '"4294967295"'
    ])
      assert.throws(() => parse(list(JSON_INDICES + 1, item)), refused)
    for (const item of [(i: number) => `${i}`, (i: number) => `"x${i}"`, () => '"12345678901"'])
      assert.ok(parse(list(JSON_INDICES + 1, item)))
  }
)

test('a body is read like any text, in slices, and halves of surrogate pairs become U+FFFD', async () => {
  await fc.assert(
    fc.asyncProperty(fc.json({ maxDepth: 4 }), async text => {
      const reading = readJsonBody(Buffer.from(text), { depth: JSON_DEPTH })
      let whole: unknown
      try {
        whole = parse(text)
      } catch {
        return assert.rejects(reading, refused)
      }
      const read = await reading
      if (!text.includes('\\u')) assert.deepStrictEqual(read, whole)
    }),
    { numRuns: 300 }
  )
  const long = '\\ud83d\\ude42é\\ud800'.repeat(200_000)
  assert.deepEqual(await readJsonBody(Buffer.from(`{"a":"${long}"}`), { depth: 1 }), { a: '🙂é\ufffd'.repeat(200_000) })
})

test('the values of a body are bounded before they are built, and numbers of one field apart', async () => {
  const read = (text: string, most?: number): Promise<unknown> =>
    readJsonBody(Buffer.from(text), {
      depth: 16,
      ...(most !== undefined && { numbers: { field: 'ids', most, refuse: () => assert.fail('too many') } })
    })
  const list = (n: number, item: string): string => `[${Array(n).fill(item).join()}]`
  assert.ok(await read(list(JSON_VALUES - 1, '[]')))
  await assert.rejects(read(list(JSON_VALUES, '[]')), refused)
  for (const item of ['0', '1e9', '""', '[[[[[[[[[[[[[]]]]]]]]]]]]]', 'null']) {
    await assert.rejects(read(list(JSON_VALUES, item)), refused, item)
  }
  for (const ids of [list(100_000, '7'), `[${list(100_000, '7')}]`]) assert.ok(await read(`{"ids":${ids}}`, 100_000))
  for (const ids of [list(11, '7'), `[${list(11, '7')}]`, `{"ids":${list(11, '7')}}`]) {
    await assert.rejects(read(`{"ids":${ids}}`, 10), /too many/, ids)
    assert.ok(await read(`{"other":${ids},"ids":[1]}`, 10))
  }
})

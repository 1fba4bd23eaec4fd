import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from './errors.ts'
import { JSON_ALL_NAMES, JSON_DEPTH, JSON_INDICES, JSON_NAMES, parseStrictJson } from './strict-json.ts'

const parse = (text: string): unknown => parseStrictJson(Buffer.from(text))
const refused = (e: unknown): boolean => VeritError.is(e, 'VERIT_JSON')

test('what JSON.parse reads from an object without repeated or forbidden names is read alike', () => {
  fc.assert(fc.property(fc.json({ maxDepth: 5 }), text => {
    let expected: unknown
    try {
      expected = parse(text)
    } catch (e) {
      assert.ok(refused(e))
      return assert.match(text, /"(?:__proto__|constructor|prototype)"|\\u/)
    }
    assert.deepEqual(expected, JSON.parse(text))
  }))
})

test('any text is read or refused with an error of the table', () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', ',', ':', '\\', 'a', '1', ' ', '\\u0061', '"a"') }), text => {
    try {
      assert.deepEqual(parse(text), JSON.parse(text))
    } catch (e) {
      assert.ok(refused(e), text)
    }
  }), { numRuns: 3000 })
})

test('a name twice in one object is refused, also when it is written with an escape; in two objects it is not', () => {
  for (const text of ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '[{"b":{"a":1,"c":[],"a":2}}]', '{"":1,"":1}']) assert.throws(() => parse(text), refused, text)
  assert.deepEqual(parse('{"a":{"a":1},"b":[{"a":2},{"a":3}],"c":"a"}'), { a: { a: 1 }, b: [{ a: 2 }, { a: 3 }], c: 'a' })
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
  assert.throws(() => parseStrictJson(Buffer.from([0x22, 0xc0, 0x80, 0x22])), (e: unknown) => VeritError.is(e, 'VERIT_CONTENT_TYPE'))
  assert.throws(() => parseStrictJson(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])), (e: unknown) => VeritError.is(e, 'VERIT_CONTENT_TYPE'))
  for (const text of ['\ufeff{}', '{}{}', '', 'NaN', '{"a":1e}', "{'a':1}", '{"a":"\n"}']) assert.throws(() => parse(text), refused, text)
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

test('texts that look like array indices are bounded, as names and as values; longer numbers and escapes are texts like others', () => {
  const list = (n: number, item: (i: number) => string) => `[${Array.from({ length: n }, (_, i) => item(i)).join()}]`
  assert.ok(parse(list(JSON_INDICES, i => `"${i}"`)))
  for (const item of [(i: number) => `"${i}"`, (i: number) => `{"${i}":0}`, () => '{"\\u0031":0}', () => '"4294967295"']) assert.throws(() => parse(list(JSON_INDICES + 1, item)), refused)
  for (const item of [(i: number) => `${i}`, (i: number) => `"x${i}"`, () => '"12345678901"']) assert.ok(parse(list(JSON_INDICES + 1, item)))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { JSON_DEPTH, parseStrictJson } from './strict-json.ts'

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

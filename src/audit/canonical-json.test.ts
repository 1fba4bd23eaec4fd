import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CanonicalError, canonicalJson, parseCanonical } from './canonical-json.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')

test('every JSON value has one form, which reads back as the same value and is written again as the same bytes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }), value => {
      const text = canonicalJson(value)
      const back = parseCanonical(bytes(text))
      assert.equal(canonicalJson(back), text)
      assert.deepEqual(back, JSON.parse(JSON.stringify(value)))
    })
  )
})

test('the order in which names were set does not show', () => {
  assert.equal(
    canonicalJson({ b: 1, a: { d: [2, 'é\u2028'], c: null }, '10': true, '9': false, __proto__x: 0 }),
    '{"10":true,"9":false,"__proto__x":0,"a":{"c":null,"d":[2,"é\u2028"]},"b":1}'
  )
  assert.equal(canonicalJson({ a: undefined, b: 1e21, c: -0, d: 1e-7 }), '{"b":1e+21,"c":0,"d":1e-7}')
})

test('what JSON cannot say, and any other spelling, is refused', () => {
  for (const value of [NaN, Infinity, '\ud800', { '\udc00': 1 }, [() => 1], 1n, Symbol('x'), [undefined]])
    assert.throws(() => canonicalJson(value), CanonicalError)
  let deep: unknown = 1
  for (let i = 0; i < 40; i++) deep = [deep]
  assert.throws(() => canonicalJson(deep), CanonicalError)
  for (const text of [
    '',
    ' {}',
    '{} ',
    '{"b":1,"a":2}',
    '{"a":1,"a":1}',
    '{"a": 1}',
    '1.0',
    '1e2',
    '"\\u0041"',
    '"\\ud800"',
    '-0',
    '[1,]',
    '{"a":undefined}',
    '\ufeff{}',
    '[[['.repeat(20_000)
  ]) {
    assert.throws(() => parseCanonical(bytes(text)), CanonicalError, text.slice(0, 40))
  }
  assert.throws(() => parseCanonical(Buffer.of(0x22, 0xed, 0xa0, 0x80, 0x22)), CanonicalError)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { printable, printableJson } from './printable.ts'

test('control characters, ANSI sequences, direction marks and lone surrogates become escapes', () => {
  assert.equal(printable('a\x1b[31mred\x07\r\n\t'), 'a\\u{1b}[31mred\\u{7}\\r\\n\\t')
  assert.equal(printable('\u202eevil\u2066\u200b\u2028\x9b'), '\\u{202e}evil\\u{2066}\\u{200b}\\u{2028}\\u{9b}')
  assert.equal(printable('\ud800x\u{e0041}\\'), '\\u{d800}x\\u{e0041}\\\\')
})

test('ordinary text of any script is left alone', () => {
  for (const text of ['blk.0.attn_q.weight', 'Ġthe', 'naïve 漢字 кот 🙂']) assert.equal(printable(text), text)
})

test('long text is cut and says how long it was', () => {
  assert.equal(printable('x'.repeat(2000), 3), 'xxx… (2,000 characters)')
  assert.equal(printable('xxx', 3), 'xxx')
})

test('no output holds a character that a terminal would act on', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(40), (text, limit) => {
      assert.doesNotMatch(printable(text, limit), /[\p{C}\p{Zl}\p{Zp}]/u)
    })
  )
})

test('printable JSON reads back as the same value and holds nothing a terminal would act on', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), value => {
      const json = printableJson(value)
      assert.doesNotMatch(json, /[\p{C}\p{Zl}\p{Zp}]/u)
      assert.deepEqual(JSON.parse(json), value)
    })
  )
})

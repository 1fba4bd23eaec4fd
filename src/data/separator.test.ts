import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SeparatorCutter, checkSeparator } from './separator.ts'

/** The parts of a text that arrives in pieces. */
function cut(pieces: readonly string[], separator = 'auto'): { parts: string[]; found: number } {
  const parts = ['']
  const cutter = new SeparatorCutter(separator, {
    text: piece => {
      assert.notEqual(piece, '')
      parts[parts.length - 1] += piece
    },
    cut: () => void parts.push('')
  })
  for (const piece of pieces) cutter.push(piece)
  cutter.end()
  return { parts, found: cutter.found }
}

test('an end-of-text name alone on a line separates documents; elsewhere it is text', () => {
  const end = '<|endoftext|>'
  const cases: [text: string, parts: string[]][] = [
    [`one\n${end}\ntwo\n`, ['one', 'two']],
    [`one\n${end}\n`, ['one', '']],
    [`one\n${end}`, ['one', '']],
    [`${end}\none`, ['', 'one']],
    [`one\n \t${end}  \n\n two`, ['one', 'two']],
    [`one\n${end}\n${end}\n\n${end}\ntwo`, ['one', '', '', 'two']],
    ['one\n<|end_of_text|>\ntwo', ['one', 'two']],
    [`It ends with ${end} here.\n`, [`It ends with ${end} here.\n`]],
    [`one\n${end} two\n${end}.\n`, [`one\n${end} two\n${end}.\n`]],
    [`one\n${' '.repeat(65)}${end}\ntwo`, [`one\n${' '.repeat(65)}${end}\ntwo`]],
    ['one \n\n', ['one \n\n']]
  ]
  for (const [text, parts] of cases) assert.deepEqual(cut([text]), { parts, found: parts.length - 1 }, text)
})

test('a named separator counts wherever it stands, and none counts with none', () => {
  assert.deepEqual(cut(['one</s> two </s>\nthree'], '</s>').parts, ['one', 'two', 'three'])
  assert.deepEqual(cut(['one\n---\ntwo--'], '\n---\n').parts, ['one', 'two--'])
  assert.deepEqual(cut(['aababab'], 'abab').parts, ['a', 'ab'])
  assert.deepEqual(cut(['one\n<|endoftext|>\n'], 'none'), { parts: ['one\n<|endoftext|>\n'], found: 0 })
  for (const bad of ['', ' \n ', 'a\r\nb', 'x\u0000', '-'.repeat(300)]) {
    assert.throws(() => checkSeparator(bad), { code: 'VERIT_USAGE' }, JSON.stringify(bad))
  }
})

const TOKENS = [
  '<|endoftext|>',
  '<|end',
  'oftext|>',
  '<|end_of_text|>',
  '\n',
  '\n\n',
  ' ',
  '\t',
  'a',
  'bc',
  '<|',
  '\u00a0',
  '👍'
]
const text = fc.array(fc.constantFrom(...TOKENS), { maxLength: 25 }).map(t => t.join(''))
const places = fc.array(fc.nat(), { maxLength: 6 })

test('parts do not depend on the pieces, and hold all that is neither separator nor whitespace', () => {
  for (const separator of ['auto', '<|endoftext|>', '\na']) {
    fc.assert(
      fc.property(text, places, (whole, at) => {
        const borders = [...new Set([0, ...at.map(n => n % (whole.length + 1)), whole.length])].sort((a, b) => a - b)
        const pieces = borders.slice(1).map((end, i) => whole.slice(borders[i], end))
        const expected = cut([whole], separator)
        assert.deepEqual(cut(pieces, separator), expected)
        const solid = (s: string): string => s.replace(/\s/g, '')
        if (separator === '<|endoftext|>') {
          assert.deepEqual(expected.parts.map(solid), whole.split(separator).map(solid))
        }
        if (separator === 'auto' && expected.found === 0) assert.deepEqual(expected.parts, [whole])
      })
    )
  }
})

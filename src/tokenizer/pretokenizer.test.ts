import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pretokenizer, pretokenizerOfPatterns } from './pretokenizer.ts'
import { anyText, brokenText, cut } from '../../test/texts.ts'
import { WordStream } from './words.ts'

const names = [
  'gpt-2',
  'smollm',
  'falcon',
  'default',
  'llama-bpe',
  'dbrx',
  'minicpm5',
  'qwen2',
  'qwen35',
  'seed-coder',
  'tekken',
  'gpt-4o',
  'deepseek-llm',
  'deepseek-coder',
  'deepseek-v3',
  'character'
] as const

function words(name: string, text: string): string[] {
  const out: string[] = []
  for (let i = 0; i < text.length;) {
    const end = pretokenizer(name)!.wordEnd(text, i)
    out.push(text.slice(i, end))
    i = end
  }
  return out
}

/** An expression as JavaScript spells it, where \s is not quite White_Space, and where a set in braces begins a set. */
function expression(source: string): RegExp {
  // (?i: ) would also fold U+017F, which Hugging Face's JavaScript and llama.cpp do not.
  const folded = source
    .replaceAll("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?:'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))")
    .replace('[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]', '[!-\\/:-@\\[-`\\{-~]')
    .replaceAll('\\-', '-')
    .replace('\\`', '`')
    .replaceAll(/\\([<>=~])/g, '$1')
  return new RegExp(
    source === '[\\s\\S]' ? source : folded.replaceAll('\\s', '\\p{White_Space}').replaceAll('\\S', '\\P{White_Space}'),
    'gu'
  )
}

/** A text split by an expression: what it matches, and what lies between. */
function split(text: string, by: RegExp): string[] {
  const out: string[] = []
  let at = 0
  for (const { 0: match, index } of text.matchAll(by)) {
    if (index > at) out.push(text.slice(at, index))
    out.push(match)
    at = index + match.length
  }
  if (at < text.length) out.push(text.slice(at))
  return out
}

const expected = (name: string, text: string): string[] =>
  pretokenizer(name)!
    .patterns.map(expression)
    .reduce((pieces, by) => pieces.flatMap(piece => split(piece, by)), text === '' ? [] : [text])

for (const name of names) {
  test(`the ${name} scanner cuts every text as its expression does`, () => {
    fc.assert(
      fc.property(brokenText, text => {
        assert.deepEqual(
          words(name, text).map(w => w.toWellFormed()),
          expected(name, text.toWellFormed())
        )
      }),
      { numRuns: 3000 }
    )
  })

  test(`a text in pieces has the same ${name} words as in one`, () => {
    fc.assert(
      fc.property(anyText, fc.array(fc.nat(), { maxLength: 8 }), (text, at) => {
        const out: string[] = []
        const stream = new WordStream(pretokenizer(name)!, (t, start, end) => out.push(t.slice(start, end)))
        for (const piece of cut(text, at)) stream.push(piece)
        stream.end()
        assert.deepEqual(out, words(name, text))
      })
    )
  })
}

test('pieces beyond the first scan give the same words too', () => {
  const text = "it's 12 o'clock -- and all's well\n\n".repeat(2000)
  for (const size of [1, 7, 4095, 10_000]) {
    const out: string[] = []
    const stream = new WordStream(pretokenizer('gpt-2')!, (t, start, end) => out.push(t.slice(start, end)))
    for (let i = 0; i < text.length; i += size) stream.push(text.slice(i, i + size))
    stream.end()
    assert.deepEqual(out, words('gpt-2', text))
  }
})

test('a word that never ends is cut at the limit, not inside a character', () => {
  const out: string[] = []
  const stream = new WordStream(pretokenizer('gpt-2')!, (t, start, end) => out.push(t.slice(start, end)), 5)
  for (let i = 0; i < 3000; i++) stream.push('𝒳𝒴a')
  stream.end()
  assert.equal(out.join(''), '𝒳𝒴a'.repeat(3000))
  assert.ok(out.every(w => w.length <= 5 && w.isWellFormed()))
})

test("smollm's one expression equals two splits in turn, digits first, as llama.cpp does it", () => {
  const [digits, gpt2] = pretokenizer('smollm')!.spellings[0]!.map(expression)
  fc.assert(
    fc.property(anyText, text => {
      assert.deepEqual(
        words('smollm', text),
        text === '' ? [] : split(text, digits!).flatMap(part => split(part, gpt2!))
      )
    }),
    { numRuns: 1000 }
  )
})

test('the time of a scanner is in proportion to the text', () => {
  const units = [
    '\u2190$',
    '\u4e00a',
    ' \u2003',
    '\u20ac  ',
    'A\u4e00',
    'A',
    '\u4e00',
    '\u0301A',
    '\u0000',
    '\u0000\u4e00',
    '\u3002\u3000',
    '1',
    '\u00bd',
    "'S",
    '\r ',
    '/\n',
    '. '
  ]
  const slow: string[] = []
  for (const name of names) {
    for (const unit of units) {
      const text = unit.repeat(Math.ceil(60_000 / unit.length))
      const from = performance.now()
      words(name, text)
      // A scan of the rest of the text for each word would take half a minute.
      if (performance.now() - from > 2000) slow.push(`${name} on ${JSON.stringify(unit)}`)
    }
  }
  assert.deepEqual(slow, [])
})

test('expressions from a file are known or they are nothing', () => {
  for (const name of names) {
    const { patterns, spellings, ignoreMerges } = pretokenizer(name)!
    for (const spelling of [patterns, ...spellings])
      assert.equal(pretokenizerOfPatterns(spelling, ignoreMerges)?.name, name)
  }
  assert.equal(pretokenizerOfPatterns(['(a+)+$'], false), undefined)
  assert.equal(pretokenizerOfPatterns([], false), undefined)
  assert.equal(pretokenizer('__proto__'), undefined)
})

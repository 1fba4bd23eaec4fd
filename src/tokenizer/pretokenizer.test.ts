import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { pretokenizer, pretokenizerOfPattern } from './pretokenizer.ts'
import { anyText, brokenText, cut } from '../../test/texts.ts'
import { WordStream } from './words.ts'

const names = ['gpt-2', 'smollm', 'llama-bpe', 'qwen2', 'character'] as const

function words(name: string, text: string): string[] {
  const out: string[] = []
  for (let i = 0; i < text.length;) {
    const end = pretokenizer(name)!.wordEnd(text, i)
    out.push(text.slice(i, end))
    i = end
  }
  return out
}

/** The expression as JavaScript spells it, where \s is not quite White_Space. */
function expression(name: string): RegExp {
  const source = pretokenizer(name)!.pattern
  // (?i: ) would also fold U+017F, which Hugging Face's JavaScript and llama.cpp do not.
  const folded = source.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])")
  return new RegExp(name === 'character' ? source : folded.replaceAll('\\s', '\\p{White_Space}').replaceAll('\\S', '\\P{White_Space}'), 'gu')
}

for (const name of names) {
  test(`the ${name} scanner cuts every text as its expression does`, () => {
    fc.assert(fc.property(brokenText, text => {
      assert.deepEqual(words(name, text), text.match(expression(name)) ?? [])
    }), { numRuns: 2000 })
  })

  test(`a text in pieces has the same ${name} words as in one`, () => {
    fc.assert(fc.property(anyText, fc.array(fc.nat(), { maxLength: 8 }), (text, at) => {
      const out: string[] = []
      const stream = new WordStream(pretokenizer(name)!, (t, start, end) => out.push(t.slice(start, end)))
      for (const piece of cut(text, at)) stream.push(piece)
      stream.end()
      assert.deepEqual(out, words(name, text))
    }))
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
  const gpt2 = expression('gpt-2')
  fc.assert(fc.property(anyText, text => {
    const twice = (text.match(/\p{N}|\P{N}+/gu) ?? []).flatMap(part => part.match(gpt2) ?? [])
    assert.deepEqual(words('smollm', text), twice)
  }), { numRuns: 1000 })
})

test('an expression from a file is known or it is nothing', () => {
  for (const name of names) assert.equal(pretokenizerOfPattern(pretokenizer(name)!.pattern)?.name, name)
  assert.equal(pretokenizerOfPattern('(a+)+$'), undefined)
})

/**
 * Encoding in steps: for every kind of tokenizer the same ids as by the definition, no step that is long, and an end
 * soon after the limit.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Tokenizer as HuggingFace } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { finish } from '../lib/steps.ts'
import { testTokenizers, worstTexts } from '../../test/tokenizers.ts'
import type { TextTokenizer } from './text-tokenizer.ts'
import { Tokenizer } from './tokenizer.ts'

const kinds = testTokenizers()
/** Runs of what tokenizers tell apart, many longer than a word may be that is merged at once. */
const run = fc.tuple(
  fc.constantFrom(
    'a',
    'the',
    ' ',
    '\n',
    'a  ',
    '<tag>',
    '<ta',
    '<|user|>',
    '7',
    '\u0001',
    '中',
    '👍',
    '\u2581',
    'e the',
    "'s",
    '!'
  ),
  fc.nat(700)
)
const longText = fc
  .array(
    run.map(([text, times]) => text.repeat(times)),
    { maxLength: 4 }
  )
  .map(runs => runs.join(''))

function steps(tokenizer: TextTokenizer, text: string, limit?: number): { steps: number; ids: Int32Array | undefined } {
  const encoding = tokenizer.encoding(text, limit)
  for (let n = 1; ; n++) {
    const step = encoding.next()
    if (step.done === true) return { steps: n, ids: step.value }
  }
}

for (const [name, { tokenizer }] of kinds) {
  test(`${name}: long words have the ids that they have in a stream, and stand for their text`, () => {
    const lossless = !name.startsWith('pieces')
    fc.assert(
      fc.property(name === 'character' ? longText.map(t => t.replaceAll('👍', '\u{1f600}')) : longText, text => {
        const ids = tokenizer.encode(text)
        assert.deepEqual(finish(tokenizer.encoding(text)), ids)
        if (lossless) assert.equal(tokenizer.decode(ids), text)
        if (name === 'added') return // in a stream, added tokens are plain text
        const stream = tokenizer.encodeStream()
        assert.deepEqual([...stream.push(text), ...stream.end()], [...ids])
      }),
      { numRuns: 12 }
    )
  })

  test(
    `${name}: encoding stops with more ids than the limit, and only then; no text is longer than its ids can ` +
      'stand for',
    () => {
      const text = name === 'character' ? longText.map(t => t.replaceAll('👍', '\u{1f600}')) : longText
      fc.assert(
        fc.property(text, fc.nat(200), (t, limit) => {
          const whole = tokenizer.encode(t)
          for (const at of [limit, whole.length, whole.length - 1]) {
            assert.deepEqual(finish(tokenizer.encoding(t, at)), whole.length > at ? undefined : whole)
          }
          assert.ok(Buffer.byteLength(t) <= tokenizer.mostBytes(whole.length) || whole.length === 0)
        }),
        { numRuns: 12 }
      )
    }
  )

  test(`${name}: a long text is encoded in many steps, whatever it says, and given up soon after the limit`, () => {
    for (const [what, text] of worstTexts(1 << 13)) {
      const { steps: all, ids } = steps(tokenizer, text)
      // Spaces that are removed are looked at 16,384 at a time, what is merged 512.
      assert.ok(all >= text.length / (ids!.length < 3 ? 16_384 : 4096), `${what}: ${all} steps`)
      assert.deepEqual(ids, tokenizer.encode(text))
    }
    // Where no cut can be made in a text, all of it is merged before there are ids.
    if (name === 'pieces-unused' || name === 'pieces-crossing') return
    const { steps: few, ids } = steps(tokenizer, worstTexts(1 << 13).get('the fox')!, 64)
    assert.ok(ids === undefined && few <= 12, `${few} steps`)
  })
}

test('long words have the ids that @huggingface/tokenizers gives them', () => {
  for (const name of ['gpt-2', 'smollm', 'llama-bpe']) {
    const tokenizer = kinds.get(name)!.tokenizer as Tokenizer
    const other = new HuggingFace(JSON.parse(tokenizer.toJSON()) as object, { clean_up_tokenization_spaces: false })
    const word = fc
      .array(fc.constantFrom('a', 'the', 'e', 'aa', 'x', 'end', 'ö'), { minLength: 400, maxLength: 500 })
      .map(parts => parts.join(''))
    fc.assert(
      fc.property(word, text => {
        assert.deepEqual([...tokenizer.encode(text)], other.encode(text, { add_special_tokens: false }).ids)
      }),
      { numRuns: 20 }
    )
  }
})

test('two encodings under way at once do not disturb one another', () => {
  for (const [name, { tokenizer }] of kinds) {
    const texts = ['the '.repeat(900), 'a'.repeat(5000), 'e the'.repeat(700), '<tag>a \n'.repeat(500)]
    const all = texts.map(text => ({ encoding: tokenizer.encoding(text), ids: undefined as Int32Array | undefined }))
    for (let left = all.length; left > 0;) {
      for (const one of all) {
        if (one.ids !== undefined) continue
        const step = one.encoding.next()
        if (step.done !== true) continue
        one.ids = step.value
        left--
      }
    }
    for (const [i, text] of texts.entries()) assert.deepEqual(all[i]!.ids, tokenizer.encode(text), name)
  }
})

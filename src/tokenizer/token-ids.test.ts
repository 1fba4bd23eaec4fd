import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { brokenText } from '../../test/texts.ts'
import { TokenIds } from './token-ids.ts'

const vocabulary = fc.array(fc.oneof(brokenText, fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 5 })), {
  maxLength: 60
})

test('the id of a text is that of the first token that is it', () => {
  fc.assert(
    fc.property(vocabulary, brokenText, (tokens, other) => {
      const ids = new TokenIds(tokens)
      for (const text of [...tokens, other]) {
        const first = tokens.indexOf(text)
        assert.equal(ids.get(text), first < 0 ? undefined : first)
        assert.equal(ids.find(`x${text}y`, 1, 1 + text.length), first)
      }
    })
  )
})

test('two tokens joined are found as their text is', () => {
  fc.assert(
    fc.property(vocabulary, tokens => {
      const ids = new TokenIds(tokens)
      for (const [a, left] of tokens.entries()) {
        for (const [b, right] of tokens.entries()) assert.equal(ids.joined(a, b), tokens.indexOf(left + right))
      }
    })
  )
})

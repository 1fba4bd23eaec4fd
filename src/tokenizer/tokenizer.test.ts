import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Tokenizer as HuggingFace } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { anyText, brokenText, cut } from '../../test/texts.ts'
import { Tokenizer } from './tokenizer.ts'
import { TokenizerTrainer } from './train-tokenizer.ts'
import type { TrainTokenizerOptions } from './train-tokenizer.ts'

const text = (
  'The quick brown fox, the 1984 naïve "façade"; it\'s they\'ll 語語 語 👍👍👍 <|user|> 12 1234 -- … \n\n\tthe end.  ' +
  'The end!\n'
).repeat(8)

function train(options: TrainTokenizerOptions): Tokenizer {
  const trainer = new TokenizerTrainer(options)
  trainer.push(text)
  trainer.end()
  return trainer.finish()
}

const theirs = (tokenizer: Tokenizer): HuggingFace =>
  new HuggingFace(JSON.parse(tokenizer.toJSON()) as object, { clean_up_tokenization_spaces: false })
const chat = ['<|endoftext|>', '<|user|>', '<|assistant|>']
const bpe = train({ vocabSize: 400, specials: chat })
const digits = train({ vocabSize: 400, singleDigits: true })
const llama = Tokenizer.fromParts({
  ...bpe.toParts(),
  pretokenizer: 'llama-bpe',
  merges: bpe.toParts().merges.slice(0, 60)
})
const characters = train({ kind: 'character' })

for (const [name, tokenizer] of [
  ['gpt-2', bpe],
  ['single digits', digits],
  ['llama-bpe', llama]
] as const) {
  test(`@huggingface/tokenizers gives the same ids and text (${name})`, () => {
    const other = theirs(tokenizer)
    fc.assert(
      fc.property(brokenText, s => {
        const ids = [...tokenizer.encode(s, { allowSpecial: true })]
        assert.deepEqual(ids, other.encode(s, { add_special_tokens: false }).ids)
        if (ids.length > 0) assert.equal(tokenizer.decode(ids), other.decode(ids, { skip_special_tokens: false }))
        const plain = ids.filter(id => !tokenizer.isSpecial(id))
        if (plain.length > 0)
          assert.equal(tokenizer.decode(ids, { skipSpecial: true }), other.decode(ids, { skip_special_tokens: true }))
      }),
      { numRuns: 400 }
    )
  })

  test(`decoding gives back every well-formed text (${name})`, () => {
    fc.assert(
      fc.property(anyText, s => {
        assert.equal(tokenizer.decode(tokenizer.encode(s)), s)
        assert.equal(tokenizer.decode(tokenizer.encode(s, { allowSpecial: true })), s)
      }),
      { numRuns: 500 }
    )
  })

  test(`a text in pieces has the same ids as in one (${name})`, () => {
    fc.assert(
      fc.property(anyText, fc.array(fc.nat(), { maxLength: 6 }), (s, at) => {
        const stream = tokenizer.encodeStream()
        const ids = [...cut(s, at).flatMap(piece => [...stream.push(piece)]), ...stream.end()]
        assert.deepEqual(ids, [...tokenizer.encode(s)])
      })
    )
  })
}

test('lone surrogates are encoded as U+FFFD', () => {
  fc.assert(
    fc.property(brokenText, s => {
      assert.deepEqual(bpe.encode(s), bpe.encode(s.toWellFormed()))
      assert.equal(bpe.decode(bpe.encode(s)), s.toWellFormed())
    })
  )
})

test('special tokens in a text are plain text unless they are allowed', () => {
  const s = 'a<|user|>b<|endoftext|>'
  assert.ok([...bpe.encode(s)].every(id => !bpe.isSpecial(id)))
  assert.deepEqual(
    [...bpe.encode(s, { allowSpecial: true })].filter(id => bpe.isSpecial(id)),
    [1, 0]
  )
  assert.equal(bpe.endOfText, 0)
  assert.deepEqual(
    [...bpe.specials],
    [
      ['<|endoftext|>', 0],
      ['<|user|>', 1],
      ['<|assistant|>', 2]
    ]
  )
})

test('of special tokens that begin alike the longest is read', () => {
  const tokenizer = train({ vocabSize: 270, specials: ['<a', '<a>', '<a>>'] })
  assert.deepEqual([...tokenizer.encode('<a>><a><a', { allowSpecial: true })], [2, 1, 0])
})

test('a character vocabulary holds the characters of the text, in order, and reads back alike elsewhere', () => {
  const distinct = [...new Set(text)].sort((a, b) => a.codePointAt(0)! - b.codePointAt(0)!)
  assert.equal(characters.vocabSize, distinct.length)
  assert.equal(characters.kind, 'character')
  assert.equal(characters.endOfText, undefined)
  assert.deepEqual(
    [...characters.encode(distinct.join(''))],
    distinct.map((_, i) => i)
  )
  const other = theirs(characters)
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...distinct), minLength: 1 }), s => {
      const ids = [...characters.encode(s)]
      assert.equal(ids.length, [...s].length)
      assert.deepEqual(ids, other.encode(s, { add_special_tokens: false }).ids)
      assert.equal(characters.decode(ids), s)
      assert.equal(other.decode(ids), s)
    })
  )
  assert.throws(() => characters.encode('the ß'), { code: 'VERIT_TOKENIZER_CHARACTER', message: /"ß"/ })
})

test('parts and JSON give back an equal tokenizer', () => {
  for (const tokenizer of [bpe, digits, characters]) {
    assert.equal(Tokenizer.fromParts(tokenizer.toParts()).toJSON(), tokenizer.toJSON())
    assert.equal(Tokenizer.fromJSON(tokenizer.toJSON()).toJSON(), tokenizer.toJSON())
    assert.equal(Tokenizer.fromJSON(tokenizer.toJSON()).digest, tokenizer.digest)
    assert.match(tokenizer.digest, /^sha256:[0-9a-f]{64}$/)
  }
  // GGUF has no name for a character vocabulary: without merges, 'gpt-2' is enough.
  assert.equal(Tokenizer.fromParts({ ...characters.toParts(), pretokenizer: 'gpt-2' }).digest, characters.digest)
})

test('a word of a million letters, and a million words, are encoded in one go', () => {
  const ids = bpe.encode('e'.repeat(1e6))
  assert.equal(bpe.decode(ids), 'e'.repeat(1e6))
  assert.equal(bpe.decode(bpe.encode(' \t'.repeat(2e5))), ' \t'.repeat(2e5))
})

test('ids outside the vocabulary are refused', () => {
  for (const id of [-1, bpe.vocabSize, 1.5, NaN]) {
    assert.throws(() => bpe.decode([id]), { code: 'VERIT_TOKEN_ID' })
    assert.throws(() => bpe.tokenBytes(id), { code: 'VERIT_TOKEN_ID' })
  }
})

test('user-defined tokens are read in any text', () => {
  const { tokens, tokenTypes, merges, pretokenizer } = bpe.toParts()
  const tokenizer = Tokenizer.fromParts({
    tokens: [...tokens, '<tool>'],
    tokenTypes: [...tokenTypes, 4],
    merges,
    pretokenizer
  })
  assert.ok(tokenizer.encode('a <tool> b <|user|>').includes(tokens.length))
  assert.ok(!tokenizer.encode('a <tool> b <|user|>').includes(1))
  assert.equal(Tokenizer.fromJSON(tokenizer.toJSON()).digest, tokenizer.digest)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WordCounter } from './count.ts'
import { pretokenizer } from './pretokenizer.ts'
import { anyText } from '../../test/texts.ts'
import { trainBpe } from './train-bpe.ts'
import { TokenizerTrainer } from './train-tokenizer.ts'

/** The definition, counting every pair anew at each step. */
function slowTrain(counts: ReadonlyMap<string, number>, wanted: number): string[] {
  const tokens = Array.from({ length: 256 }, (_, b) => String.fromCharCode(b))
  const words = [...counts].map(([word, count]) => ({ symbols: [...Buffer.from(word).toString('latin1')], count }))
  while (tokens.length < wanted) {
    const pairs = new Map<string, { a: string; b: string; count: number }>()
    for (const { symbols, count } of words) {
      for (let i = 0; i + 1 < symbols.length; i++) {
        const [a, b] = [symbols[i]!, symbols[i + 1]!]
        const key = `${a.length} ${a}${b}`
        const pair = pairs.get(key) ?? { a, b, count: 0 }
        pair.count += count
        pairs.set(key, pair)
      }
    }
    let best: { a: string; b: string; count: number } | undefined
    for (const p of pairs.values()) {
      if (p.count < 2) continue
      if (
        !best ||
        p.count > best.count ||
        (p.count === best.count && (p.a < best.a || (p.a === best.a && p.b < best.b)))
      )
        best = p
    }
    if (!best) break
    if (!tokens.includes(best.a + best.b)) tokens.push(best.a + best.b)
    for (const word of words) {
      for (let i = 0; i + 1 < word.symbols.length; i++) {
        if (word.symbols[i] === best.a && word.symbols[i + 1] === best.b) word.symbols.splice(i, 2, best.a + best.b)
      }
    }
  }
  return tokens
}

const counts = fc
  .array(
    fc.tuple(
      fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é'), minLength: 1, maxLength: 9 }),
      fc.integer({ min: 1, max: 4 })
    ),
    { maxLength: 12 }
  )
  .map(entries => new Map(entries))

test('training equals the definition that counts anew at every step', () => {
  fc.assert(
    fc.property(counts, words => {
      assert.deepEqual(trainBpe(words, { tokens: 280 }).tokens, slowTrain(words, 280))
    }),
    { numRuns: 500 }
  )
})

test('the order in which words were met changes nothing', () => {
  fc.assert(
    fc.property(fc.array(anyText, { maxLength: 12 }), fc.infiniteStream(fc.nat()), (texts, random) => {
      const learn = (list: string[]): string => {
        const trainer = new TokenizerTrainer({ vocabSize: 300 })
        for (const text of list) {
          trainer.push(text)
          trainer.end()
        }
        return trainer.finish().toJSON()
      }
      const shuffled = texts
        .map(text => ({ text, key: random.next().value ?? 0 }))
        .sort((a, b) => a.key - b.key)
        .map(x => x.text)
      assert.equal(learn(shuffled), learn(texts))
    }),
    { numRuns: 30 }
  )
})

test('no token is learned under the name of a special token', () => {
  const trainer = new TokenizerTrainer({ vocabSize: 300, specials: ['<|endoftext|>', 'user'] })
  trainer.push('user user user users superuser '.repeat(20))
  trainer.end()
  const tokenizer = trainer.finish()
  assert.equal(tokenizer.tokenId('user'), 1)
  assert.ok(!tokenizer.encode('user').includes(1))
  assert.deepEqual([...tokenizer.encode('user', { allowSpecial: true })], [1])
})

test('a table that is full forgets the rarest words', () => {
  const counter = new WordCounter(pretokenizer('gpt-2')!, 100)
  for (let i = 0; i < 5000; i++)
    counter.push(`common w${String.fromCharCode(97 + (i % 26), 97 + ((i * 7) % 25), 97 + ((i * 11) % 23))} `)
  counter.end()
  assert.ok(counter.counts.size <= 100)
  assert.ok((counter.counts.get(' common') ?? 0) > 4000)
})

test('sizes and names that make no sense are refused', () => {
  for (const vocabSize of [0, 256, 1.5, 131_073])
    assert.throws(() => new TokenizerTrainer({ vocabSize }), { code: 'VERIT_USAGE' })
  for (const specials of [[''], ['x'], ['<a>', '<a>'], ['\ud800\ud800']])
    assert.throws(() => new TokenizerTrainer({ specials }), { code: 'VERIT_USAGE' })
})

test('an empty text gives the bytes alone', () => {
  assert.equal(new TokenizerTrainer({ vocabSize: 4096 }).finish().vocabSize, 257)
})

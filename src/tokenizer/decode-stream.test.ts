import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DecodeStream } from './decode-stream.ts'
import { anyText } from '../../test/texts.ts'
import { TokenizerTrainer } from './train-tokenizer.ts'

const bytesOnly = new TokenizerTrainer({ vocabSize: 257 }).finish()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

test('text that arrives byte by byte comes out whole, a character at a time', () => {
  fc.assert(
    fc.property(anyText, text => {
      const stream = bytesOnly.decodeStream()
      const pieces = [...bytesOnly.encode(text)].map(id => stream.push(id))
      assert.equal(stream.end(), '')
      assert.equal(pieces.join(''), text)
      assert.deepEqual(
        pieces.filter(p => p !== ''),
        [...text]
      )
    })
  )
})

test('any bytes, cut anywhere, decode to what the Encoding Standard says of the whole', () => {
  const tokens = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 5 }),
      fc.string({ unit: 'binary', maxLength: 2 }).chain(s => {
        const bytes = Buffer.from(s)
        return fc.nat(bytes.length).map(n => new Uint8Array(bytes.subarray(0, n)))
      })
    ),
    { maxLength: 8 }
  )
  fc.assert(
    fc.property(tokens, list => {
      const stream = new DecodeStream(
        id => list[id]!,
        () => false
      )
      const text = list.map((_, id) => stream.push(id)).join('') + stream.end()
      assert.equal(text, decoder.decode(Buffer.concat(list)))
    }),
    { numRuns: 2000 }
  )
})

test('every cut of a text of all lengths of characters', () => {
  const bytes = Buffer.from('a\u00e9\u8a9e\u{1f44d}\u{10ffff}\ufeff.')
  for (let i = 0; i <= bytes.length; i++) {
    for (let j = i; j <= bytes.length; j++) {
      const parts = [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]
      const stream = new DecodeStream(
        id => parts[id]!,
        () => false
      )
      const pieces = [stream.push(0), stream.push(1), stream.push(2)]
      assert.ok(pieces.every(p => p.isWellFormed() && !p.includes('\ufffd')))
      assert.equal(pieces.join(''), bytes.toString())
    }
  }
})

test('a byte that nothing can complete becomes U+FFFD at once, a beginning only at the end', () => {
  const stream = bytesOnly.decodeStream()
  const byte = (b: number): string => stream.push(b + 1)
  assert.equal(byte(0xff), '\ufffd')
  assert.equal(byte(0xe2), '')
  assert.equal(byte(0x82), '')
  assert.equal(byte(0x41), '\ufffdA')
  assert.equal(byte(0xf0), '')
  assert.equal(stream.end(), '\ufffd')
  assert.equal(stream.end(), '')
})

test('special tokens can be left out', () => {
  const stream = bytesOnly.decodeStream({ skipSpecial: true })
  assert.equal(stream.push(0), '')
  assert.equal(stream.push(0x41 + 1), 'A')
  assert.throws(() => stream.push(257), { code: 'VERIT_TOKEN_ID' })
})

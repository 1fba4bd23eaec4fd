import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { bytesSource } from '../lib/regular-file.ts'
import { readSentencePieceModel } from './sentencepiece-model.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'
import { SentencePieceTokenizer } from './sentencepiece.ts'

const vectors = new URL('../../test/vectors/sentencepiece/', import.meta.url)
const load = (name: string): SentencePieceTokenizer =>
  new SentencePieceTokenizer(
    readSentencePieceModel(bytesSource(readFileSync(new URL(`${name}.model`, vectors)), name)).parts
  )
type Expected = Record<string, { encode: [string, number[], string][]; decode: [number[], string][] }>
const { 'made by': _, ...expected } = JSON.parse(
  readFileSync(new URL('expected.json', vectors), 'utf8')
) as Expected & { 'made by': unknown }

/** Parts of a small tokenizer: types by the form of the piece, scores in order. */
function parts(pieces: readonly string[], change: Partial<SentencePieceParts> = {}): SentencePieceParts {
  const all = ['<unk>', '<s>', '</s>', ...pieces]
  return {
    pieces: all,
    scores: all.map((_, id) => -id),
    types: all.map((_, id) => [2, 3, 3][id] ?? 1),
    byteFallback: false,
    addDummyPrefix: true,
    removeExtraWhitespaces: false,
    escapeWhitespaces: true,
    unknown: 0,
    unknownSurface: ' \u2047 ',
    beginOfText: 1,
    endOfText: 2,
    addsBegin: false,
    ...change
  }
}

for (const [name, { encode, decode }] of Object.entries(expected)) {
  test(
    `${encode.length} texts and ${decode.length} lists of ids of the model ${name} are encoded and decoded as ` +
      'SentencePiece does it',
    () => {
      const tokenizer = load(name)
      for (const [text, ids, decoded] of encode) {
        assert.deepEqual([...tokenizer.encode(text)], ids, JSON.stringify(text))
        assert.equal(tokenizer.decode(ids, { skipSpecial: true }), decoded, JSON.stringify(text))
      }
      for (const [ids, decoded] of decode)
        assert.equal(tokenizer.decode(ids, { skipSpecial: true }), decoded, ids.join())
    }
  )

  test(`in pieces of any length, the model ${name} encodes and decodes to the same`, () => {
    const tokenizer = load(name)
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom(' ', '   ', '\u2581', 'the ', '<tag>', 'Congress', '🦙', '\n')
    )
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.nat(tokenizer.vocabSize - 1), { maxLength: 20 }),
        fc.boolean(),
        (pieces, ids, skipSpecial) => {
          const stream = tokenizer.encodeStream()
          assert.deepEqual(
            [...pieces, undefined].flatMap(p => [...(p === undefined ? stream.end() : stream.push(p))]),
            [...tokenizer.encode(pieces.join(''))]
          )
          const decoder = tokenizer.decodeStream({ skipSpecial })
          assert.equal(ids.map(id => decoder.push(id)).join('') + decoder.end(), tokenizer.decode(ids, { skipSpecial }))
        }
      ),
      { numRuns: 300 }
    )
  })
}

test('with bytes and whitespace kept, every text comes back', () => {
  const tokenizer = load('bytes')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), text => {
      assert.equal(tokenizer.decode(tokenizer.encode(text)), text.replaceAll('\u2581', ' '))
    }),
    { numRuns: 1000 }
  )
  assert.equal(tokenizer.decode(tokenizer.encode('a\ud800b')), 'a\ufffdb')
})

test(
  'a text of many parts is encoded to the same ids as a stream, and unknown characters on both sides of a cut ' +
    'are one piece',
  () => {
    for (const name of Object.keys(expected)) {
      const tokenizer = load(name)
      const stream = tokenizer.encodeStream()
      const text = 'We the people, 国 国国 of the United  States.\n'.repeat(6000)
      const ids: number[] = []
      for (let i = 0; i < text.length; i += 5003) for (const id of stream.push(text.slice(i, i + 5003))) ids.push(id)
      for (const id of stream.end()) ids.push(id)
      assert.ok(Buffer.from(Int32Array.from(ids).buffer).equals(Buffer.from(tokenizer.encode(text).buffer)), name)
    }
  }
)

test('control pieces are plain text unless they are asked for; then a text begins anew after each', () => {
  const tokenizer = load('bytes')
  const turn = tokenizer.tokenId('<turn>')!
  assert.deepEqual([...tokenizer.specials.keys()], ['<s>', '</s>', '<pad>', '<turn>'])
  assert.ok(![...tokenizer.encode('a<turn>b</s>')].some(id => tokenizer.isSpecial(id)))
  assert.deepEqual(
    [...tokenizer.encode('a<turn>b</s>', { allowSpecial: true })],
    [...tokenizer.encode('a'), turn, ...tokenizer.encode('b'), tokenizer.endOfText]
  )
  assert.equal(tokenizer.decode([turn, ...tokenizer.encode('b')]), '<turn> b')
  assert.equal(tokenizer.decode([turn, ...tokenizer.encode('b')], { skipSpecial: true }), 'b')
})

test('a control piece of one character does not come out of plain text', () => {
  const tokenizer = new SentencePieceTokenizer(parts(['a', 'b', 'ab'], { types: [2, 3, 3, 1, 3, 1] }))
  assert.deepEqual([...tokenizer.encode('ab')], [0, 5])
  assert.deepEqual([...tokenizer.encode('ba')], [0, 3])
})

test('merges follow the scores, the leftmost of equals first, and a piece needs no parts that are pieces', () => {
  const of = (pieces: string[], scores: number[], text: string): string[] => {
    const tokenizer = new SentencePieceTokenizer(parts(pieces, { scores: [0, 0, 0, ...scores], addDummyPrefix: false }))
    return [...tokenizer.encode(text)].map(id => tokenizer.decode([id]))
  }
  assert.deepEqual(of(['a', 'b', 'c', 'ab', 'bc'], [0, 0, 0, -1, -2], 'abc'), ['ab', 'c'])
  assert.deepEqual(of(['a', 'b', 'c', 'ab', 'bc'], [0, 0, 0, -2, -1], 'abc'), ['a', 'bc'])
  assert.deepEqual(of(['a', 'aa'], [0, -1], 'aaaaa'), ['aa', 'aa', 'a'])
  assert.deepEqual(of(['xy'], [0], 'xyx'), ['xy', ' \u2047 '])
})

/**
 * Merging by its definition: of all neighbours that make a piece, those with the best score, the leftmost of equals;
 * unused pieces are not looked at.
 */
function byDefinition({ pieces, scores }: SentencePieceParts, text: string): string[] {
  const symbols = [...text]
  for (;;) {
    let best = -1
    let place = -1
    for (let i = 0; i + 1 < symbols.length; i++) {
      const id = pieces.indexOf(symbols[i]! + symbols[i + 1]!)
      if (id > 2 && (best < 0 || scores[id]! > scores[best]!)) [best, place] = [id, i]
    }
    if (best < 0) return symbols
    symbols.splice(place, 2, pieces[best]!)
  }
}

test('any list of pieces encodes any text as the definition of merging does, however it is cut into words', () => {
  const letters = ['a', 'b', 'c', '\u2581', '\n', 'é', '🦙']
  const text = fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 5 }).map(list => list.join(''))
  const vocabulary = fc.array(fc.tuple(text, fc.integer({ min: -5, max: 0 })), { minLength: 1, maxLength: 24 })
  fc.assert(
    fc.property(vocabulary, fc.array(text, { maxLength: 8 }), (list, pieces) => {
      const own = new Map([...list, ...letters.map(l => [l, -9] as const)])
      const made = parts([...own.keys()], { scores: [0, 0, 0, ...own.values()], addDummyPrefix: false })
      const tokenizer = new SentencePieceTokenizer(made)
      const whole = pieces.join('')
      assert.deepEqual(
        Array.from(tokenizer.encode(whole), id => made.pieces[id]),
        byDefinition(made, whole)
      )
    }),
    { numRuns: 1500 }
  )
})

test('a word of 262,144 letters is encoded like any other', () => {
  assert.equal(load('bytes').decode(load('bytes').encode('e'.repeat(1 << 18))).length, 1 << 18)
})

test('parts with a fault make no tokenizer', () => {
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`)
  const withBytes = (list: string[], change: Partial<SentencePieceParts> = {}): SentencePieceParts =>
    parts([...list, 'a'], { types: [2, 3, 3, ...list.map(() => 6), 1], byteFallback: true, ...change })
  assert.equal(new SentencePieceTokenizer(withBytes(bytes)).encode('é').length, 5)
  const cases: [SentencePieceParts, RegExp][] = [
    [parts([], { pieces: [], scores: [], types: [] }), /has 0 pieces/],
    [parts(['a'], { scores: [0] }), /4 pieces but 1 scores/],
    [parts(['a'], { types: [1] }), /4 pieces but 1 types/],
    [parts(['']), /piece 3 is empty/],
    [parts(['\ud800']), /piece 3 is not well-formed/],
    [parts(['a'], { scores: [0, 0, 0, NaN] }), /the score NaN/],
    [parts(['a'], { scores: [0, 0, 0, Infinity] }), /the score Infinity/],
    [parts(['a'], { types: [2, 3, 3, 7] }), /the type 7/],
    [parts(['a'.repeat(257)]), /has 257 characters/],
    [parts(['a'.repeat(129), 'a'], { types: [2, 3, 3, 4, 1] }), /has 129 characters/],
    [parts(['a'], { types: [2, 3, 3, 3] }), /no piece that text is made of/],
    [parts(['a'], { unknown: undefined }), /neither byte pieces nor an unknown/],
    [parts(['a'], { beginOfText: 4 }), /begin-of-text piece 4 is not one/],
    [parts(['a'], { endOfText: -1 }), /end-of-text piece -1 is not one/],
    [parts(['a'], { unknown: 0.5 }), /unknown piece 0.5 is not one/],
    [parts(['a'], { addsBegin: true, beginOfText: undefined }), /wants a piece before each text/],
    [
      parts(['a b', 'a'], { types: [2, 3, 3, 4, 1], removeExtraWhitespaces: true }),
      /keeps spaces where the file removes them/
    ],
    [withBytes(bytes.slice(1)), /1 of its 256 byte pieces are missing, the first for the byte 0/],
    [withBytes(bytes, { byteFallback: false }), /says that it uses none/],
    ...['<0x-1>', '<0x+F>', '<0x4a>', '<0x041>', '<0xFFFFFFFF>', '<0x>', '<0x4>', ' <0x41>'].map(
      (piece): [SentencePieceParts, RegExp] => [withBytes([piece, ...bytes]), /where a byte piece is <0x00> to <0xFF>/]
    )
  ]
  for (const [wrong, expectedProblem] of cases) {
    assert.throws(
      () => new SentencePieceTokenizer(wrong, 'x'),
      (e: unknown) => VeritError.is(e, 'VERIT_TOKENIZER_FILE') && expectedProblem.test(e.message),
      String(expectedProblem)
    )
  }
})

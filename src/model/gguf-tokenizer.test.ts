import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { byteSpelling } from '../tokenizer/bytes.ts'
import { VeritError } from '../lib/errors.ts'
import { bytesSource } from '../lib/regular-file.ts'
import { readSentencePieceModel } from '../tokenizer/sentencepiece-model.ts'
import type { SentencePieceParts } from '../tokenizer/sentencepiece-parts.ts'
import { SentencePieceTokenizer } from '../tokenizer/sentencepiece.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { readTokenizer, tokenizerEntries } from './gguf-tokenizer.ts'

type Entries = [string, GgufValue][]
const metadata = (entries: Entries): GgufMetadata => new GgufMetadata('x.gguf', new Map(entries), new Map())
const read = (entries: Entries, ...more: Entries) => readTokenizer('x.gguf', metadata([...entries, ...more]))

/** A vocabulary as converters write it: spaces of user-defined pieces turned back. */
function llama({ pieces, scores, types, beginOfText, endOfText, addDummyPrefix }: SentencePieceParts): Entries {
  return [
    ['tokenizer.ggml.model', gguf.string('llama')],
    ['tokenizer.ggml.pre', gguf.string('default')],
    ['tokenizer.ggml.tokens', gguf.strings(pieces.map((p, id) => (types[id] === 4 ? p.replaceAll('\u2581', ' ') : p)))],
    ['tokenizer.ggml.scores', gguf.f32s(Array.from(scores))],
    ['tokenizer.ggml.token_type', gguf.i32s(Array.from(types))],
    ['tokenizer.ggml.bos_token_id', gguf.u32(beginOfText!)],
    ['tokenizer.ggml.eos_token_id', gguf.u32(endOfText!)],
    ['tokenizer.ggml.add_space_prefix', gguf.bool(addDummyPrefix)]
  ]
}
const file = readFileSync(new URL('../../test/vectors/sentencepiece/bytes.model', import.meta.url))
const { parts } = readSentencePieceModel(bytesSource(file, 'bytes.model'))
const texts = ['', 'Hello world', '  Fellow   citizens\n', 'é国🦙', '<tag>Congress   x</s>', '\u2581a', 'a<turn>b']

test('a llama vocabulary in GGUF is the SentencePiece model that it was made from', () => {
  const tokenizer = read(llama(parts))
  const original = new SentencePieceTokenizer(parts)
  for (const text of texts) {
    for (const allowSpecial of [false, true])
      assert.deepEqual(
        [...tokenizer.encode(text, { allowSpecial })],
        [...original.encode(text, { allowSpecial })],
        text
      )
  }
  assert.deepEqual([tokenizer.beginOfText, tokenizer.endOfText, tokenizer.addsBegin], [1, 2, true])
  assert.equal(read(llama(parts), ['tokenizer.ggml.add_bos_token', gguf.bool(false)]).addsBegin, false)
  const bare = read(llama(parts), ['tokenizer.ggml.add_space_prefix', gguf.bool(false)])
  assert.equal(bare.decode(bare.encode(' a b')), ' a b')
  assert.notDeepEqual([...bare.encode('Hello')], [...tokenizer.encode('Hello')])
  assert.equal(read(llama(parts)).digest, tokenizer.digest)
  assert.notEqual(bare.digest, tokenizer.digest)
})

test('a llama vocabulary without its scores, with rules for text or with a fault is refused', () => {
  const without = (key: string): Entries => llama(parts).filter(([k]) => k !== key)
  const cases: [Entries, RegExp][] = [
    [without('tokenizer.ggml.scores'), /scores is missing/],
    [without('tokenizer.ggml.token_type'), /neither byte pieces nor an unknown piece/],
    [
      [...llama(parts), ['tokenizer.ggml.precompiled_charsmap', { type: 'array', of: 'u8', value: new Uint8Array(4) }]],
      /rewrites text by rules/
    ],
    [[...llama(parts), ['tokenizer.ggml.scores', gguf.f32s([0])]], /has 1 elements for 700 tokens/],
    [[...llama(parts), ['tokenizer.ggml.scores', gguf.f32s(parts.pieces.map(() => NaN))]], /finite/],
    [[...llama(parts), ['tokenizer.ggml.token_type', gguf.i32s([1])]], /700 pieces but 1 types/],
    [[...llama(parts), ['tokenizer.ggml.add_space_prefix', gguf.u32(1)]], /true or false/],
    [[['tokenizer.ggml.model', gguf.string('t5')]], /kind "t5"/]
  ]
  for (const [entries, words] of cases)
    assert.throws(
      () => read(entries),
      (e: unknown) => VeritError.is(e) && e.code !== 'VERIT_INTERNAL' && words.test(e.message),
      String(words)
    )
})

const plain = Tokenizer.fromParts({
  tokens: [...byteSpelling, '12', '<|begin|>', '<|end|>'],
  tokenTypes: [...byteSpelling.map(() => 1), 1, 3, 3],
  merges: ['1 2'],
  pretokenizer: 'gpt-2',
  endOfText: 258
})

test('byte-level BPE comes back as it was written, and other names of a pre-tokenizer mean the same', () => {
  const entries = tokenizerEntries(plain)
  assert.equal(read(entries).digest, plain.digest)
  assert.deepEqual([read(entries).beginOfText, read(entries).endOfText, read(entries).addsBegin], [258, 258, false])
  const count = (pre: string): number => read(entries, ['tokenizer.ggml.pre', gguf.string(pre)]).encode('12').length
  assert.deepEqual(
    ['gpt-2', 'mpt', 'llama-bpe', 'llama3', 'falcon3', 'qwen2', 'smollm'].map(count),
    [1, 1, 1, 1, 1, 2, 2]
  )
  assert.deepEqual(['default', 'command-r', 'tekken', 'llama4', 'glm4', 'olmo'].map(count), [1, 2, 2, 1, 1, 1])
  for (const name of ['__proto__', 'kimi-k2', ''])
    assert.throws(() => count(name), /is no pre-tokenizer that Verit has. It has gpt-2, mpt/)
})

/** Types of a vocabulary changed, by token; and tokens put behind it. */
function withTokens(
  types: Readonly<Record<string, number>>,
  more: readonly (readonly [string, number])[] = [],
  merges: readonly string[] = ['1 2']
): Entries {
  const all = [
    ...plain.toParts().tokens.map((token, id): readonly [string, number] => [token, plain.toParts().tokenTypes[id]!]),
    ...more
  ]
  return [
    ...tokenizerEntries(plain),
    ['tokenizer.ggml.tokens', gguf.strings(all.map(([token]) => token))],
    ['tokenizer.ggml.token_type', gguf.i32s(all.map(([token, type]) => types[token] ?? type))],
    ['tokenizer.ggml.merges', gguf.strings(merges)]
  ]
}

test('tokens of every type are loaded; those out of use come out of no text', () => {
  const more = [
    ['[PAD259]', 5],
    ['<unk>', 2],
    ['<0x41>', 6],
    ['', 1],
    ['\u200d', 1]
  ] as const
  const tokenizer = read(withTokens({ A: 6 }, more))
  const text = 'A 12 [PAD259] <unk> <0x41> \u200d'
  assert.equal(tokenizer.decode(tokenizer.encode(text)), text)
  assert.ok(tokenizer.encode(text).every(id => id < 257))
  assert.deepEqual(
    more.map((_, i) => tokenizer.decode([259 + i])),
    ['[PAD259]', '<unk>', '<0x41>', '[EMPTY_262]', '\u200d']
  )
  assert.deepEqual([...tokenizer.unused], [259, 261, 262])
  assert.equal(tokenizer.encode('<unk>', { allowSpecial: true })[0], 260)
})

test('of tokens spelled alike and of merges of one pair, the first counts', () => {
  const tokenizer = read(
    withTokens(
      {},
      [
        ['12', 1],
        ['ab', 4],
        ['xy', 1],
        ['zz', 3]
      ],
      ['1 2', 'x y', '1 2', 'z z', 'a b']
    )
  )
  assert.deepEqual(
    [...tokenizer.encode('12ab1xyzz')],
    [256, 260, 49, 261, 122, 122].map((id, i) =>
      [2, 4, 5].includes(i) ? tokenizer.encode(String.fromCharCode(id))[0] : id
    )
  )
  assert.equal(tokenizer.decode([259]), '12')
  assert.match(tokenizer.digest, /^sha256:/)
})

test('a character whose bytes the vocabulary lacks is refused by name, and the others are not', () => {
  const tokens = plain
    .toParts()
    .tokens.map(token => (token === byteSpelling[3] || token === byteSpelling[0xf1] ? `[${token}]` : token))
  const tokenizer = read([...tokenizerEntries(plain), ['tokenizer.ggml.tokens', gguf.strings(tokens)]])
  assert.equal(tokenizer.decode(tokenizer.encode('a👍\u0001')), 'a👍\u0001')
  for (const character of ['\u0003', '\u{4fffd}']) {
    assert.throws(
      () => tokenizer.encode(`a ${character}`),
      (e: unknown) => VeritError.is(e, 'VERIT_TOKENIZER_CHARACTER') && e.fields.character === character
    )
    assert.throws(() => tokenizer.encode(`${'a'.repeat(9999)}${character}`), { code: 'VERIT_TOKENIZER_CHARACTER' })
  }
})

test('a token that ends a turn by its name is special, whatever its type; the end of an HTML element is text', () => {
  const tokenizer = read(withTokens({ '<|end|>': 1 }, [['</s>', 1]]))
  assert.deepEqual([tokenizer.isSpecial(258), tokenizer.isSpecial(259)], [true, false])
})

test('what begins or ends a text or a turn is special, also where the file calls it an added token', () => {
  for (const entries of [tokenizerEntries(plain), llama(parts)]) {
    const { value } = new Map(entries).get('tokenizer.ggml.token_type') as { value: Int32Array }
    const tokens = (new Map(entries).get('tokenizer.ggml.tokens') as { value: readonly string[] }).value
    const end = tokens.findIndex(t => t === '<|end|>' || t === '</s>')
    const tokenizer = read(
      entries,
      ['tokenizer.ggml.token_type', gguf.i32s(Array.from(value, (type, id) => (id === end ? 4 : type)))],
      ['tokenizer.ggml.eot_token_id', gguf.u32(end)]
    )
    assert.ok(tokenizer.isSpecial(end))
    assert.ok(!tokenizer.encode(`a${tokens[end]}b`).includes(end))
  }
})

test("a token before each text is asked for by the file, or by Llama 3's kind of file that says nothing", () => {
  const entries = tokenizerEntries(plain).filter(([k]) => !/add_bos|\.pre$|bos_token_id/.test(k))
  const begin: Entries[number] = ['tokenizer.ggml.bos_token_id', gguf.u32(257)]
  const pre = (name: string): Entries[number] => ['tokenizer.ggml.pre', gguf.string(name)]
  assert.deepEqual(
    [read(entries, begin, pre('llama-bpe')).addsBegin, read(entries, begin, pre('llama-bpe')).beginOfText],
    [true, 257]
  )
  assert.equal(read(entries, begin, pre('gpt-2')).addsBegin, false)
  assert.equal(read(entries, begin, pre('gpt-2'), ['tokenizer.ggml.add_bos_token', gguf.bool(true)]).addsBegin, true)
  assert.equal(read(entries, pre('llama-bpe')).addsBegin, false)
  assert.equal(read(entries, begin, ['general.architecture', gguf.string('bitnet-b1.58')]).addsBegin, true)
})

test('gemma4: merges by rank, spaces as marks, runs of line feeds as one token, other characters as bytes', () => {
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`)
  const texts = [
    '<bos>',
    '<eos>',
    ...bytes,
    'a',
    'b',
    '\u2581',
    'ab',
    '\u2581a',
    '\u2581ab',
    '\n',
    '\n\n',
    '\n\n\n',
    'a\n',
    '<tag>'
  ]
  const types = texts.map((text, i) => (text === '<tag>' ? 4 : [3, 6, 1][[1, 257].filter(last => i > last).length]!))
  const entries: Entries = [
    ['tokenizer.ggml.model', gguf.string('gemma4')],
    ['tokenizer.ggml.tokens', gguf.strings(texts)],
    ['tokenizer.ggml.token_type', gguf.i32s(types)],
    ['tokenizer.ggml.merges', gguf.strings(['\u2581 a', 'a b', '\u2581a b', '\n \n', 'a \n', 'a b'])],
    ['tokenizer.ggml.bos_token_id', gguf.u32(0)],
    ['tokenizer.ggml.eos_token_id', gguf.u32(1)],
    ['tokenizer.ggml.add_bos_token', gguf.bool(false)]
  ]
  const tokenizer = read(entries)
  const tokens = (text: string): string[] => Array.from(tokenizer.encode(text), id => tokenizer.token(id))
  assert.deepEqual(tokens('ab ab'), ['ab', '\u2581ab'])
  assert.deepEqual(tokens('a\n\n\nb'), ['a', '\n\n\n', 'b'])
  assert.deepEqual(tokens('\n'.repeat(5)), ['\n\n', '\n\n', '\n'])
  assert.deepEqual(tokens('a\u00e9<tag>  a<eos>').slice(0, 6), ['a', '<0xC3>', '<0xA9>', '<tag>', '\u2581', '\u2581a'])
  for (const text of ['', ' a\n b', '\n \n', '<eos>', '\u{1f999}'])
    assert.equal(tokenizer.decode(tokenizer.encode(text)), text)
  assert.equal(tokenizer.addsBegin, true)
  assert.notEqual(tokenizer.digest, read(entries, ['tokenizer.ggml.merges', gguf.strings(['a b'])]).digest)
  assert.throws(
    () => read(entries, ['tokenizer.ggml.merges', gguf.strings(['a c'])]),
    /merge 0 \("a c"\) does not join two tokens/
  )
})

/**
 * Classes A and B for tokenizers of SentencePiece's kind, in `.model` files and in GGUF: refused before they are used,
 * in one sentence with the place.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  BYTE_PIECES,
  encodeFields,
  models,
  normalizer,
  piece,
  START,
  trainer,
  varint
} from '../../scripts/sentencepiece-writer.ts'
import type { Field } from '../../scripts/sentencepiece-writer.ts'
import { VeritEngine } from '../../src/engine/verit-engine.ts'
import { writeRandomModel } from '../../src/bench/random-model.ts'
import { openExecutor } from '../../src/exec/index.ts'
import { parseGguf } from '../../src/formats/gguf-reader.ts'
import { gguf } from '../../src/formats/gguf-value.ts'
import type { GgufValue } from '../../src/formats/gguf-value.ts'
import { writeGguf } from '../../src/formats/gguf-writer.ts'
import { VeritError } from '../../src/lib/errors.ts'
import { bytesSource, openRegular } from '../../src/lib/regular-file.ts'
import { parseModelConfig } from '../../src/model/config.ts'
import { loadModel } from '../../src/model/load-gguf.ts'
import { readSentencePieceModel } from '../../src/tokenizer/sentencepiece-model.ts'
import { digestBytes } from '../../src/trust/digest.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-sentencepiece-'))
after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'm')
const executor = openExecutor({ threads: 1 })

function refused(file: Uint8Array, words: RegExp): void {
  assert.throws(
    () => readSentencePieceModel(bytesSource(file, 'x.model')),
    (e: unknown) => {
      assert.ok(VeritError.is(e, 'VERIT_SENTENCEPIECE'), String(e))
      assert.match(e.fields.problem, words)
      assert.ok(e.fields.offset >= 0 && e.fields.offset <= file.length)
      return true
    }
  )
}
const small: readonly Field[] = [...START, piece('a'), piece('\u2581'), trainer(false)]

test(
  'A6 lengths in a SentencePiece file that are huge, negative or beyond their message are refused before ' +
    'memory is taken',
  () => {
    const head = encodeFields(small)
    for (const length of [1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      refused(Buffer.concat([head, Buffer.of(0x0a), varint(length)]), /where 0 are left|more than there can be/)
      // Inside a piece whose own length is right.
      refused(
        encodeFields([...small, [1, { bytes: Buffer.concat([Buffer.of(0x0a), varint(length)]) }]]),
        /where 0 are left|more than there can be/
      )
    }
    refused(Buffer.concat([head, Buffer.of(0x0a), Buffer.alloc(10, 0xff)]), /more than ten bytes/)
  }
)

test('A5 wire types that are not known and groups in groups are refused at the first one', () => {
  for (const wire of [3, 4, 6, 7])
    refused(Buffer.concat([encodeFields(small), Buffer.alloc(1000, 8 + wire)]), /has the wire type/)
})

test('A9 a setting that appears twice in a SentencePiece file is refused', () => {
  refused(encodeFields([...small, trainer(true)]), /field 2 appears twice/)
  refused(
    encodeFields([
      ...small,
      normalizer([
        [3, { varint: 0 }],
        [3, { varint: 1 }]
      ])
    ]),
    /field 3 appears twice/
  )
})

test('A17 every cut of a SentencePiece file is refused, or has lost whole settings and says so', () => {
  const file = encodeFields(models.unknown)
  for (let length = 0; length < file.length; length++) {
    try {
      readSentencePieceModel(bytesSource(file.subarray(0, length), 'x.model'))
      assert.ok(length > file.length - encodeFields([normalizer()]).length - 1, `${length} bytes are enough`)
    } catch (e) {
      assert.ok(VeritError.is(e, 'VERIT_SENTENCEPIECE') && e.fields.offset <= length)
    }
  }
})

test('A21 a sparse file of terabytes is refused unread, and a link to a folder is no file', () => {
  writeFileSync(path, encodeFields(small))
  truncateSync(path, 2 ** 42)
  using source = openRegular(path, 'the model')
  assert.throws(() => readSentencePieceModel(source), /4398046511104 bytes, more than the limit/)
  symlinkSync(folder, `${path}-link`)
  assert.throws(
    () => openRegular(`${path}-link`, 'the model'),
    (e: unknown) => VeritError.is(e, 'VERIT_FILE_KIND')
  )
})

const BYTE_SPELLINGS = [
  '<0x-1>',
  '<0x+F>',
  '<0x4a>',
  '<0x041>',
  '<0xFFFFFFFFFFFF>',
  '<0x>',
  '<0x4>',
  '<0X41>',
  '0x41',
  '<0x 1>',
  '<0x41> '
]

test(
  'B1 byte pieces spelled with signs, other digits or other cases, doubled or missing are refused in a ' +
    'SentencePiece file',
  () => {
    for (const text of BYTE_SPELLINGS)
      refused(
        encodeFields([...START, ...BYTE_PIECES.with(65, piece(text, 0, 6)), piece('a'), trainer(true)]),
        /where a byte piece is <0x00> to <0xFF>/
      )
    refused(
      encodeFields([...START, ...BYTE_PIECES.with(65, BYTE_PIECES[66]!), trainer(true)]),
      /1 of its 256 byte pieces are missing, the first for the byte 65/
    )
    refused(
      encodeFields([...START, ...BYTE_PIECES.slice(0, 255), trainer(true)]),
      /1 of its 256 byte pieces are missing, the first for the byte 255/
    )
    refused(encodeFields([...START, ...BYTE_PIECES, piece('a'), trainer(false)]), /says that it uses none/)
  }
)

test('B3 roles of a SentencePiece file that are no piece, or a piece of another kind, are refused', () => {
  for (const field of [40, 41, 42, 43]) {
    for (const id of [5, 2 ** 31 - 1, -2, -(2 ** 31)])
      refused(
        encodeFields([...small.slice(0, 5), trainer(false, [[field, { varint: id }]])]),
        /is not one of the 5 pieces/
      )
    refused(encodeFields([...small.slice(0, 5), trainer(false, [[field, { varint: 3 }]])]), /id is 3, where/)
  }
})

test('B7 scores that are NaN or infinite are refused in a SentencePiece file', () => {
  for (const score of [NaN, Infinity, -Infinity]) refused(encodeFields([...small, piece('b', score)]), /has the score/)
})

await writeRandomModel(
  path,
  executor,
  parseModelConfig({ kind: 'gpt', layers: 1, hidden: 16, heads: 2, ffn: 32, context: 64, vocab: 262, bias: true })
)
const random = readFileSync(path)

/** A model whose tokenizer is SentencePiece's, with a change made to it. */
function model(change: (entries: Map<string, GgufValue>) => void): Buffer {
  const file = parseGguf(random)
  const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`)
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, '\u2581a', 'a', '\u2581']
  const metadata = new Map([...file.metadata.entries].filter(([key]) => !key.startsWith('tokenizer.')))
  const types = tokens.map((_, id) => [2, 3, 6, 1][[0, 2, 258].filter(last => id > last).length]!)
  for (const [key, value] of [
    ['model', gguf.string('llama')],
    ['tokens', gguf.strings(tokens)],
    ['scores', gguf.f32s(tokens.map((_, id) => -id))],
    ['token_type', gguf.i32s(types)],
    ['bos_token_id', gguf.u32(1)],
    ['eos_token_id', gguf.u32(2)],
    ['unknown_token_id', gguf.u32(0)]
  ] as const)
    metadata.set(`tokenizer.ggml.${key}`, value)
  change(metadata)
  writeGguf(path, {
    metadata: [...metadata],
    tensors: file.tensors.map(({ name, type, shape }) => ({ name, type, shape, data: file.readTensor(name) }))
  })
  return readFileSync(path)
}
const strings = (entries: Map<string, GgufValue>): string[] => [
  ...(entries.get('tokenizer.ggml.tokens') as { value: readonly string[] }).value
]

test(
  'a model with a sound SentencePiece tokenizer answers, and its prompt begins with the token that its file ' +
    'asks for',
  async () => {
    const loaded = await loadModel(parseGguf(model(() => {})), executor)
    await using engine = new VeritEngine(executor, { ...loaded, name: 'm', digest: digestBytes(readFileSync(path)) })
    const events = []
    for await (const event of engine.generate({ prompt: 'a b', maxTokens: 4, temperature: 0, ignoreEndOfText: true }))
      events.push(event)
    // <s> ▁a ▁ <0x62>
    assert.equal((events[0] as { promptTokens: number }).promptTokens, 4)
    assert.equal(events.length, 6)
  }
)

test(
  'B1 byte tokens, sizes and ids of a llama vocabulary in GGUF that make no sense are refused before a weight ' +
    'is read',
  async () => {
    const fail = async (words: RegExp, change: (entries: Map<string, GgufValue>) => void): Promise<void> => {
      const allocate = (): ArrayBuffer => assert.fail('memory was taken')
      await assert.rejects(loadModel(parseGguf(model(change)), { ...executor, allocate }), (e: unknown) => {
        assert.ok(VeritError.is(e) && e.code !== 'VERIT_INTERNAL', String(e))
        assert.match(e.message, words)
        return true
      })
    }
    for (const text of BYTE_SPELLINGS)
      await fail(/where a byte piece is <0x00> to <0xFF>/, m =>
        m.set('tokenizer.ggml.tokens', gguf.strings(strings(m).with(68, text)))
      )
    await fail(/has 262 elements for 263 tokens/, m =>
      m.set('tokenizer.ggml.tokens', gguf.strings([...strings(m), 'b']))
    )
    for (const role of ['bos', 'eos', 'unknown', 'padding', 'eot'])
      await fail(/which is not one of the 262 tokens/, m => m.set(`tokenizer.ggml.${role}_token_id`, gguf.u32(262)))
    await fail(/finite/, m => m.set('tokenizer.ggml.scores', gguf.f32s(strings(m).map(() => Infinity))))
  }
)

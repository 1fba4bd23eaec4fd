/**
 * One small tokenizer of each kind that Verit serves, as metadata of a GGUF file too, and the texts that are the most
 * work for them.
 */
import { readFileSync } from 'node:fs'
import { gguf } from '../src/formats/gguf-value.ts'
import type { GgufValue } from '../src/formats/gguf-value.ts'
import { bytesSource } from '../src/lib/regular-file.ts'
import { tokenizerEntries } from '../src/model/gguf-tokenizer.ts'
import { NORMAL, UNUSED, USER_DEFINED } from '../src/tokenizer/parts.ts'
import { readSentencePieceModel } from '../src/tokenizer/sentencepiece-model.ts'
import { BYTE } from '../src/tokenizer/sentencepiece-parts.ts'
import type { SentencePieceParts } from '../src/tokenizer/sentencepiece-parts.ts'
import { SentencePieceTokenizer } from '../src/tokenizer/sentencepiece.ts'
import type { TextTokenizer } from '../src/tokenizer/text-tokenizer.ts'
import { Tokenizer } from '../src/tokenizer/tokenizer.ts'
import { TokenizerTrainer } from '../src/tokenizer/train-tokenizer.ts'

export interface TestTokenizer {
  readonly tokenizer: TextTokenizer
  /** `tokenizer.ggml.*` */
  readonly entries: readonly [string, GgufValue][]
}

/** As long as the longest tokens of real vocabularies: a context of 8,192 can stand for a text of a mebibyte. */
const LONGEST = 'q'.repeat(128)
const SAMPLE = (
  'The quick brown fox, the 1984 naive "facade"; it\'s they\'ll aaaa aaaaaaaa -- \n\n\n\n\t\tthe      end.  The ' +
  'end!\n      a    a\n'
).repeat(20)

function trained(kind: 'bpe' | 'character'): Tokenizer {
  const trainer = new TokenizerTrainer({ kind, vocabSize: 400, specials: ['<|endoftext|>', '<|user|>'] })
  trainer.push(SAMPLE)
  if (kind === 'character')
    trainer.push(
      Array.from({ length: 0x180 }, (_, c) => String.fromCharCode(c)).join('') +
        '\u2581\u4e2d\uf8f7\ufffd\u{1f600}' +
        privateUse()
    )
  trainer.end()
  return trainer.finish()
}

/** All but the last of the characters that may mark what a message says, ending with the first. */
function privateUse(): string {
  return String.fromCharCode(...Array.from({ length: 6399 }, (_, i) => 0xf8fe - i))
}

function bytePairs(tokenizer: Tokenizer, change: Partial<ReturnType<Tokenizer['toParts']>> = {}): TestTokenizer {
  const made = Tokenizer.fromParts({ ...tokenizer.toParts(), ...change })
  return { tokenizer: made, entries: tokenizerEntries(made) }
}

function sentencePiece(parts: SentencePieceParts): TestTokenizer {
  const { pieces, scores, types, beginOfText, endOfText, addDummyPrefix, removeExtraWhitespaces } = parts
  return {
    tokenizer: new SentencePieceTokenizer(parts),
    entries: [
      ['tokenizer.ggml.model', gguf.string('llama')],
      ['tokenizer.ggml.pre', gguf.string('default')],
      ['tokenizer.ggml.tokens', gguf.strings(pieces)],
      ['tokenizer.ggml.scores', gguf.f32s(Array.from(scores))],
      ['tokenizer.ggml.token_type', gguf.i32s(Array.from(types))],
      ['tokenizer.ggml.bos_token_id', gguf.u32(beginOfText!)],
      ['tokenizer.ggml.eos_token_id', gguf.u32(endOfText!)],
      ['tokenizer.ggml.add_space_prefix', gguf.bool(addDummyPrefix)],
      ['tokenizer.ggml.remove_extra_whitespaces', gguf.bool(removeExtraWhitespaces)]
    ]
  }
}

/** Control pieces, bytes, `<tag>` as a user-defined piece, and these. */
function pieces(list: readonly (readonly [string, number])[]): SentencePieceParts {
  const bytes = Array.from({ length: 256 }, (_, b): [string, number] => [
    `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`,
    BYTE
  ])
  const all = [['<unk>', 2], ['<s>', 3], ['</s>', 3], ...bytes, ['<tag>', USER_DEFINED], ...list] as const
  return {
    pieces: all.map(([piece]) => piece),
    scores: all.map((_, id) => -id),
    types: all.map(([, type]) => type),
    byteFallback: true,
    addDummyPrefix: true,
    removeExtraWhitespaces: false,
    escapeWhitespaces: true,
    unknown: 0,
    unknownSurface: ' \u2047 ',
    beginOfText: 1,
    endOfText: 2,
    addsBegin: true
  }
}

const normal = (...list: string[]): [string, number][] => list.map(piece => [piece, NORMAL])
const LETTERS = normal(
  '\u2581',
  'a',
  'e',
  't',
  'h',
  'aa',
  'aaaa',
  'aaaaaaaa',
  'th',
  'the',
  '\u2581the',
  '\u2581\u2581',
  '\u2581\u2581\u2581\u2581',
  '\u2581a',
  LONGEST
)

/** By name. */
export function testTokenizers(): ReadonlyMap<string, TestTokenizer> {
  const learned = trained('bpe').toParts()
  const bpe = Tokenizer.fromParts({
    ...learned,
    tokens: [...learned.tokens, LONGEST],
    tokenTypes: [...learned.tokenTypes, NORMAL]
  })
  const { tokens, tokenTypes } = bpe.toParts()
  const spaces = Array.from({ length: 12 }, (_, i) => ' '.repeat(2 + i))
  const added = bytePairs(bpe, {
    tokens: [...tokens, '<tag>', ...spaces],
    tokenTypes: [...tokenTypes, ...['<tag>', ...spaces].map(() => USER_DEFINED)]
  })
  const file = readFileSync(new URL('vectors/sentencepiece/unknown.model', import.meta.url))
  const words = (pretokenizer: 'smollm' | 'llama-bpe' | 'qwen2'): TestTokenizer => bytePairs(bpe, { pretokenizer })
  return new Map([
    ['gpt-2', bytePairs(bpe)],
    ['smollm', words('smollm')],
    ['llama-bpe', words('llama-bpe')],
    ['qwen2', words('qwen2')],
    ['added', added],
    ['character', bytePairs(trained('character'))],
    ['pieces', sentencePiece(pieces(LETTERS))],
    ['pieces-unused', sentencePiece(pieces([...LETTERS, ['th\u2581', UNUSED], ['xy', UNUSED]]))],
    ['pieces-crossing', sentencePiece(pieces([...LETTERS, ...normal('e\u2581t')]))],
    ['pieces-squeezed', sentencePiece({ ...pieces(LETTERS), removeExtraWhitespaces: true })],
    ['pieces-unknown', sentencePiece(readSentencePieceModel(bytesSource(file, 'unknown.model')).parts)]
  ])
}

/** Texts of `units` UTF-16 units, by name. */
export function worstTexts(units: number): ReadonlyMap<string, string> {
  const fill = (text: string): string =>
    text
      .repeat(Math.ceil(units / text.length))
      .slice(0, units)
      .toWellFormed()
  const unique = (): string => {
    const words: string[] = []
    for (let n = 0, length = 0; length < units; n++) {
      const word = ((n * 0x9e3779b1) >>> 0).toString(36).replaceAll(/\d/g, d => 'qwertyuiop'[Number(d)]!)
      words.push(word)
      length += word.length + 1
    }
    return words.join(' ').slice(0, units)
  }
  const marks = privateUse()
  return new Map([
    ['one letter', fill('a')],
    ['letters', fill('abcdefghijklmnopqrstuvwxyz')],
    ['digits', fill('0123456789')],
    ['spaces', fill(' ')],
    ['line feeds', fill('\n')],
    ['spaces and a letter', fill('       a')],
    ['a letter, spaces, line feeds', fill('a   \n\n')],
    ['almost a tag', fill('<ta')],
    ['tags', fill('<tag>')],
    ['almost a special token', fill('<|user|')],
    ['special tokens', fill('<|user|>')],
    ['no piece', fill('\u0001')],
    ['beyond Latin', fill('\u4e2d')],
    ['beyond 16 bits', fill('\u{1f600}')],
    ['space marks', fill('\u2581')],
    ['unique words', unique()],
    ['private use', fill('\uf8f7').slice(marks.length) + marks.slice(0, units)],
    ['the fox', fill('The quick brown fox, the 1984 naive "facade"; it\'s they\'ll. ')]
  ])
}

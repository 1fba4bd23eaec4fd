/**
 * A tokenizer as GGUF metadata (`tokenizer.ggml.*`) and back: byte-level BPE ("gpt2") and SentencePiece's BPE
 * ("llama").
 */
import { unnamedPretokenizer } from '../arch/registry.ts'
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { byteOf } from '../tokenizer/bytes.ts'
import { CONTROL, NORMAL, UNUSED, USER_DEFINED } from '../tokenizer/parts.ts'
import { BYTE, SPACE_MARK, UNKNOWN } from '../tokenizer/sentencepiece-parts.ts'
import { pretokenizer, pretokenizerNames } from '../tokenizer/pretokenizer.ts'
import { SentencePieceTokenizer } from '../tokenizer/sentencepiece.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { isEndText } from './end-tokens.ts'
import { OTHER_ENDS, replaceEntries } from './gguf-conversation.ts'

/** Metadata of a tokenizer of any kind. */
export function textTokenizerEntries(tokenizer: TextTokenizer): [string, GgufValue][] {
  if (tokenizer instanceof Tokenizer) return tokenizerEntries(tokenizer)
  invariant(tokenizer instanceof SentencePieceTokenizer, 'a tokenizer is of one of two kinds')
  return sentencePieceEntries(tokenizer)
}

function sentencePieceEntries(tokenizer: SentencePieceTokenizer): [string, GgufValue][] {
  const { pieces, scores, types, merges, addDummyPrefix, unknown, removeExtraWhitespaces } = tokenizer.toParts()
  invariant(merges === undefined, 'a tokenizer with ranked merges comes from GGUF alone')
  const id = (role: string, value: number | undefined): [string, GgufValue][] =>
    value === undefined ? [] : [[`tokenizer.ggml.${role}_token_id`, gguf.u32(value)]]
  return [
    ['tokenizer.ggml.model', gguf.string('llama')],
    ['tokenizer.ggml.pre', gguf.string('default')],
    ['tokenizer.ggml.tokens', gguf.strings([...pieces])],
    ['tokenizer.ggml.scores', gguf.f32s(Array.from(scores))],
    ['tokenizer.ggml.token_type', gguf.i32s(Array.from(types))],
    ...id('bos', tokenizer.beginOfText),
    ...id('eos', tokenizer.endOfText),
    ...id('unknown', unknown),
    ['tokenizer.ggml.add_bos_token', gguf.bool(tokenizer.addsBegin)],
    ['tokenizer.ggml.add_space_prefix', gguf.bool(addDummyPrefix)],
    ...(removeExtraWhitespaces
      ? [['tokenizer.ggml.remove_extra_whitespaces', gguf.bool(true)] satisfies [string, GgufValue]]
      : [])
  ]
}

export function tokenizerEntries(tokenizer: Tokenizer): [string, GgufValue][] {
  const { tokens, tokenTypes, merges, endOfText, pretokenizer } = tokenizer.toParts()
  const end: [string, GgufValue][] =
    endOfText === undefined
      ? []
      : [
          ['tokenizer.ggml.bos_token_id', gguf.u32(endOfText)],
          ['tokenizer.ggml.eos_token_id', gguf.u32(endOfText)]
        ]
  const entries: [string, GgufValue][] = [
    ['tokenizer.ggml.model', gguf.string('gpt2')],
    ['tokenizer.ggml.pre', gguf.string(pretokenizer)],
    ['tokenizer.ggml.tokens', gguf.strings(tokens)],
    ['tokenizer.ggml.token_type', gguf.i32s(tokenTypes)],
    ['tokenizer.ggml.merges', gguf.strings(merges)],
    ...end,
    ['tokenizer.ggml.add_bos_token', gguf.bool(false)]
  ]
  return replaceEntries(entries, characterEntries(tokenizer))
}

/** Says that the merges only put together the bytes of single characters. */
export const PRETOKENIZER = 'verit.pretokenizer'

/**
 * How a character vocabulary is written as BPE: no other program has such a kind, but byte-level BPE gives the same
 * ids, with merges that join the bytes of each multi-byte character.
 */
export function characterEntries(tokenizer: TextTokenizer): [string, GgufValue][] {
  if (!(tokenizer instanceof Tokenizer) || tokenizer.kind !== 'character') return []
  const { tokens, tokenTypes } = tokenizer.toParts()
  return [
    ['tokenizer.ggml.pre', gguf.string('gpt-2')],
    ['tokenizer.ggml.merges', gguf.strings(characterMerges(tokens, tokenTypes))],
    [PRETOKENIZER, gguf.string('character')]
  ]
}

/**
 * For a character of bytes a, b, c: "a b" and "ab c". A first byte never stands inside a character, so no merge
 * reaches over two.
 */
function characterMerges(tokens: readonly string[], types: readonly number[]): string[] {
  const merges = new Set<string>()
  for (const [id, token] of tokens.entries()) {
    // No character of UTF-8 has more than four bytes; a longer token is refused later.
    if (types[id] === NORMAL && token.length <= 4)
      for (let n = 1; n < token.length; n++) merges.add(`${token.slice(0, n)} ${token[n]}`)
  }
  return [...merges]
}

/**
 * @param file name in errors
 * @throws VeritError VERIT_MODEL_FILE for another kind of tokenizer, VERIT_GGUF, VERIT_TOKENIZER_FILE
 */
export function readTokenizer(file: string, m: GgufMetadata): TextTokenizer {
  const model = m.string('tokenizer.ggml.model')
  if (model !== 'gpt2' && model !== 'llama' && model !== 'gemma4') {
    const problem =
      `its tokenizer is of the kind ${JSON.stringify(model)}, where Verit reads byte-level BPE ` +
      '(gpt2), SentencePiece (llama) and gemma4'
    throw new VeritError('VERIT_MODEL_FILE', { file, problem })
  }
  const tokens = m.strings('tokenizer.ggml.tokens')
  checkIds(m, tokens.length)
  return model === 'gpt2' ? readBytePairs(file, m, tokens) : readSentencePieces(file, m, tokens, model === 'gemma4')
}

const idOf = (m: GgufMetadata, role: string): number | undefined => {
  const key = `tokenizer.ggml.${role}_token_id`
  return m.has(key) ? m.uint(key) : undefined
}

/**
 * Types of tokens. A token that begins or ends a text or a turn, by a key or by its name, is special even where the
 * file calls it user-defined or normal: nobody must be able to end a turn by typing its end. Some names are also
 * ordinary text, such as the end of an HTML element: a normal token of these is special only by a key.
 */
function typesOf(m: GgufMetadata, tokens: readonly string[]): readonly number[] {
  const keyed = new Set(['bos', 'eos', 'eot', 'eom'].map(role => idOf(m, role)))
  for (const id of m.ints(OTHER_ENDS, [])) keyed.add(id)
  const key = 'tokenizer.ggml.token_type'
  const types = m.has(key) ? m.ints(key).slice() : tokens.map(() => NORMAL)
  for (let id = 0; id < types.length; id++) {
    const type = types[id]!
    if (type !== USER_DEFINED && type !== NORMAL) continue
    const byName = type === USER_DEFINED || (type === NORMAL && /^<[|\uff5c]/.test(tokens[id] ?? ''))
    if ((type === USER_DEFINED && keyed.has(id)) || (byName && isEndText(tokens[id]!))) types[id] = CONTROL
  }
  return types
}

/**
 * Meaning of the token types of byte-level BPE in Verit. An unknown token is special. A byte token is a token of the
 * alphabet; one spelled as in SentencePiece is unused, and so is a token without a text.
 */
function bytePairTypes(tokens: readonly string[], types: readonly number[]): number[] {
  return types.map((type, id) => {
    if (tokens[id] === '') return UNUSED
    if (type === UNKNOWN) return CONTROL
    if (type !== BYTE) return type
    return tokens[id]!.length === 1 && byteOf(tokens[id]!.charCodeAt(0)) >= 0 ? NORMAL : UNUSED
  })
}

function readBytePairs(file: string, m: GgufMetadata, tokens: readonly string[]): Tokenizer {
  const name = m.string('tokenizer.ggml.pre', unnamedPretokenizer(m.string('general.architecture', '')))
  const tokenTypes = bytePairTypes(tokens, typesOf(m, tokens))
  const merges = m.strings('tokenizer.ggml.merges', [])
  const characters = m.string(PRETOKENIZER, '') === 'character'
  if (characters && merges.join('\n') !== characterMerges(tokens, tokenTypes).join('\n'))
    m.refuse(PRETOKENIZER, 'is character, and the merges are not those of its characters')
  const rule = pretokenizer(characters ? 'character' : name)
  if (rule === undefined) {
    const problem =
      `${printable(JSON.stringify(name), 80)} is no pre-tokenizer that Verit has. It has ` +
      `${pretokenizerNames.join(', ')}`
    m.refuse('tokenizer.ggml.pre', problem)
  }
  const beginOfText = idOf(m, 'bos')
  return Tokenizer.fromParts(
    {
      tokens: tokens.map((token, id) => (token === '' ? `[EMPTY_${id}]` : token)),
      tokenTypes,
      merges: characters ? [] : merges,
      pretokenizer: rule.name,
      endOfText: idOf(m, 'eos'),
      beginOfText,
      addsBegin: m.bool('tokenizer.ggml.add_bos_token', rule.addsBegin) && beginOfText !== undefined
    },
    file
  )
}

/** @param ranked merges decide, not scores (Gemma 4) */
function readSentencePieces(
  file: string,
  m: GgufMetadata,
  tokens: readonly string[],
  ranked: boolean
): SentencePieceTokenizer {
  if (m.has('tokenizer.ggml.precompiled_charsmap'))
    m.refuse('tokenizer.ggml.precompiled_charsmap', 'rewrites text by rules, which Verit does not do')
  const types = typesOf(m, tokens)
  const beginOfText = idOf(m, 'bos')
  // Writers turn the spaces of user-defined tokens back; in text they are looked for where spaces are marks.
  const pieces = tokens.map((token, id) => (types[id] === USER_DEFINED ? token.replaceAll(' ', SPACE_MARK) : token))
  const unknown = idOf(m, 'unknown') ?? types.indexOf(UNKNOWN)
  return new SentencePieceTokenizer(
    {
      pieces,
      scores: ranked ? new Float32Array(pieces.length) : m.floats('tokenizer.ggml.scores'),
      types,
      merges: ranked ? m.strings('tokenizer.ggml.merges') : undefined,
      byteFallback: types.includes(BYTE),
      addDummyPrefix: !ranked && m.bool('tokenizer.ggml.add_space_prefix', true),
      removeExtraWhitespaces: m.bool('tokenizer.ggml.remove_extra_whitespaces', false),
      escapeWhitespaces: true,
      unknown: unknown < 0 ? undefined : unknown,
      unknownSurface: ' \u2047 ',
      beginOfText,
      endOfText: idOf(m, 'eos'),
      addsBegin: (ranked || m.bool('tokenizer.ggml.add_bos_token', true)) && beginOfText !== undefined
    },
    file
  )
}

/**
 * Every special id that the file names is one of its tokens, also those that Verit does not use: another program
 * would read beyond its vocabulary.
 */
function checkIds(m: GgufMetadata, vocab: number): void {
  for (const key of m.entries.keys()) {
    if (!/^tokenizer\.ggml\.\w+_token_id$/.test(key)) continue
    const id = m.uint(key)
    if (id >= vocab) m.refuse(key, `is ${id}, which is not one of the ${vocab} tokens`)
  }
  const scores = 'tokenizer.ggml.scores'
  const count = m.floats(scores, []).length
  if (m.has(scores) && count !== vocab) m.refuse(scores, `has ${count} elements for ${vocab} tokens`)
}

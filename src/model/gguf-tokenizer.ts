/** A tokenizer as GGUF metadata (`tokenizer.ggml.*`) and back: byte-level BPE ("gpt2") and SentencePiece's BPE ("llama"). */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { CONTROL, USER_DEFINED } from '../tokenizer/parts.ts'
import { BYTE, SPACE_MARK, UNKNOWN } from '../tokenizer/sentencepiece-parts.ts'
import { SentencePieceTokenizer } from '../tokenizer/sentencepiece.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'

/** Names of `tokenizer.ggml.pre` that mean a pre-tokenizer of another name, as llama.cpp has them. */
const PRETOKENIZERS: Readonly<Record<string, string>> = {
  'llama3': 'llama-bpe', 'llama-v3': 'llama-bpe', 'falcon3': 'llama-bpe', 'falcon-h1': 'llama-bpe', 'mpt': 'gpt-2', 'deepseek-r1-qwen': 'qwen2',
}

export function tokenizerEntries(tokenizer: Tokenizer): [string, GgufValue][] {
  const { tokens, tokenTypes, merges, endOfText, pretokenizer } = tokenizer.toParts()
  const end: [string, GgufValue][] = endOfText === undefined ? [] : [
    ['tokenizer.ggml.bos_token_id', gguf.u32(endOfText)],
    ['tokenizer.ggml.eos_token_id', gguf.u32(endOfText)],
  ]
  return [
    ['tokenizer.ggml.model', gguf.string('gpt2')],
    ['tokenizer.ggml.pre', gguf.string(pretokenizer)],
    ['tokenizer.ggml.tokens', gguf.strings(tokens)],
    ['tokenizer.ggml.token_type', gguf.i32s(tokenTypes)],
    ['tokenizer.ggml.merges', gguf.strings(merges)],
    ...end,
    ['tokenizer.ggml.add_bos_token', gguf.bool(false)],
  ]
}

/**
 * @param file what errors name
 * @throws VeritError VERIT_MODEL_FILE for another kind of tokenizer, VERIT_GGUF, VERIT_TOKENIZER_FILE
 */
export function readTokenizer(file: string, m: GgufMetadata): TextTokenizer {
  const model = m.string('tokenizer.ggml.model')
  if (model !== 'gpt2' && model !== 'llama') {
    const problem = `its tokenizer is of the kind ${JSON.stringify(model)}, where Verit reads byte-level BPE (gpt2) and SentencePiece (llama)`
    throw new VeritError('VERIT_MODEL_FILE', { file, problem })
  }
  const tokens = m.strings('tokenizer.ggml.tokens')
  checkIds(m, tokens.length)
  return model === 'gpt2' ? readBytePairs(file, m, tokens) : readSentencePieces(file, m, tokens)
}

const idOf = (m: GgufMetadata, role: string): number | undefined => {
  const key = `tokenizer.ggml.${role}_token_id`
  return m.has(key) ? m.uint(key) : undefined
}

/** Types of tokens. Those that begin and end texts and turns are special ones, also where the file calls them added ones: nobody must end a turn by typing its end. */
function typesOf(m: GgufMetadata, tokens: readonly string[]): readonly number[] {
  const types = [...m.ints('tokenizer.ggml.token_type', tokens.map(() => 1))]
  for (const role of ['bos', 'eos', 'eot', 'eom']) {
    const id = idOf(m, role)
    if (id !== undefined && types[id] === USER_DEFINED) types[id] = CONTROL
  }
  return types
}

function readBytePairs(file: string, m: GgufMetadata, tokens: readonly string[]): Tokenizer {
  // The first files of BitNet b1.58 do not say that they have Llama 3's tokenizer.
  const unsaid = m.string('general.architecture', '').startsWith('bitnet') ? 'llama-bpe' : 'gpt-2'
  const name = m.string('tokenizer.ggml.pre', unsaid)
  const pretokenizer = Object.hasOwn(PRETOKENIZERS, name) ? PRETOKENIZERS[name]! : name
  const beginOfText = idOf(m, 'bos')
  return Tokenizer.fromParts({
    tokens, tokenTypes: typesOf(m, tokens), merges: m.strings('tokenizer.ggml.merges', []), pretokenizer,
    endOfText: idOf(m, 'eos'), beginOfText, addsBegin: m.bool('tokenizer.ggml.add_bos_token', pretokenizer === 'llama-bpe') && beginOfText !== undefined,
  }, file)
}

function readSentencePieces(file: string, m: GgufMetadata, tokens: readonly string[]): SentencePieceTokenizer {
  if (m.has('tokenizer.ggml.precompiled_charsmap')) m.refuse('tokenizer.ggml.precompiled_charsmap', 'rewrites text by rules, which Verit does not do')
  const types = typesOf(m, tokens)
  const beginOfText = idOf(m, 'bos')
  // Writers turn the spaces of user-defined tokens back; in text they are looked for where spaces are marks.
  const pieces = tokens.map((token, id) => (types[id] === USER_DEFINED ? token.replaceAll(' ', SPACE_MARK) : token))
  const unknown = idOf(m, 'unknown') ?? types.indexOf(UNKNOWN)
  return new SentencePieceTokenizer({
    pieces, scores: m.floats('tokenizer.ggml.scores'), types, byteFallback: types.includes(BYTE),
    addDummyPrefix: m.bool('tokenizer.ggml.add_space_prefix', true), removeExtraWhitespaces: m.bool('tokenizer.ggml.remove_extra_whitespaces', false), escapeWhitespaces: true,
    unknown: unknown < 0 ? undefined : unknown, unknownSurface: ' \u2047 ', beginOfText, endOfText: idOf(m, 'eos'),
    addsBegin: m.bool('tokenizer.ggml.add_bos_token', true) && beginOfText !== undefined,
  }, file)
}

/** Every special id that the file names is one of its tokens, also those that Verit does not use: another program would read beyond its vocabulary. */
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

/** A tokenizer as GGUF metadata (`tokenizer.ggml.*`) and back. */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'

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

/** @param file what errors name */
export function readTokenizer(file: string, m: GgufMetadata): Tokenizer {
  const model = m.string('tokenizer.ggml.model')
  if (model !== 'gpt2') {
    const problem = `its tokenizer is of the kind ${JSON.stringify(model)}, where Verit reads byte-level BPE (gpt2)`
    throw new VeritError('VERIT_MODEL_FILE', { file, problem })
  }
  const tokens = m.strings('tokenizer.ggml.tokens')
  checkIds(m, tokens.length)
  return Tokenizer.fromParts({
    tokens,
    tokenTypes: m.ints('tokenizer.ggml.token_type', tokens.map(() => 1)),
    merges: m.strings('tokenizer.ggml.merges', []),
    pretokenizer: m.string('tokenizer.ggml.pre', 'gpt-2'),
    endOfText: m.has('tokenizer.ggml.eos_token_id') ? m.uint('tokenizer.ggml.eos_token_id') : undefined,
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

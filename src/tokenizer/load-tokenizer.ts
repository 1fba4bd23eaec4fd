/** Reads a tokenizer.json from disk. */
import { isUtf8 } from 'node:buffer'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import { parseTokenizerJson } from './json.ts'
import { isSentencePieceJson, sentencePieceFromJson } from './sentencepiece-json.ts'
import { SentencePieceTokenizer } from './sentencepiece.ts'
import type { TextTokenizer } from './text-tokenizer.ts'
import { Tokenizer } from './tokenizer.ts'

/** Largest tokenizer.json that is read, in bytes; the largest vocabularies in use need a third of it. */
const MAX_BYTES = 1 << 26

/** The tokenizer in the file at `path`: byte-level BPE or characters. */
export const loadTokenizer = (path: string): Tokenizer => Tokenizer.fromJSON(readText(path), path)

/**
 * The tokenizer in the file at `path`, of any kind that Verit has.
 * @throws VeritError VERIT_TOKENIZER_FILE, VERIT_FILE_NOT_FOUND
 */
export function loadTextTokenizer(path: string): TextTokenizer {
  const text = readText(path)
  const root = parseTokenizerJson(text, path)
  return isSentencePieceJson(root)
    ? new SentencePieceTokenizer(sentencePieceFromJson(root, path), path)
    : Tokenizer.fromJSON(text, path)
}

function readText(path: string): string {
  using file = openRegular(path, 'the tokenizer')
  if (file.size > MAX_BYTES)
    throw new VeritError('VERIT_TOKENIZER_FILE', { source: path, problem: 'it is larger than 64 MiB' })
  const bytes = file.readAll()
  if (!isUtf8(bytes)) throw new VeritError('VERIT_TOKENIZER_FILE', { source: path, problem: 'it is not UTF-8' })
  return bytes.toString('utf8')
}

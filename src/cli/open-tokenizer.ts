/** The tokenizer that a file holds: a tokenizer.json, a SentencePiece model, or that of a GGUF model. */
import { GgufFile } from '../formats/gguf-reader.ts'
import { openRegular } from '../lib/regular-file.ts'
import { readTokenizer } from '../model/gguf-tokenizer.ts'
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts'
import { readSentencePieceModel } from '../tokenizer/sentencepiece-model.ts'
import { SentencePieceTokenizer } from '../tokenizer/sentencepiece.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { formatOf } from './file-format.ts'

/** @throws VeritError VERIT_TOKENIZER_FILE, VERIT_SENTENCEPIECE, VERIT_GGUF or VERIT_MODEL_FILE */
export function openTokenizer(path: string): TextTokenizer {
  using source = openRegular(path, 'the tokenizer')
  const first = Buffer.alloc(Math.min(4, source.size))
  source.read(0, first)
  if (first.toString('latin1') === 'GGUF') return readTokenizer(path, new GgufFile(source).metadata)
  return formatOf(source) === 'SentencePiece model' ? new SentencePieceTokenizer(readSentencePieceModel(source).parts, path) : loadTokenizer(path)
}

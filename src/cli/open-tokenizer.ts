/** The tokenizer that a file holds: a tokenizer.json, a SentencePiece model, or that of a GGUF model. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { GgufFile } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import { RUN_MODEL, isFolder } from '../lib/run-files.ts'
import { readTokenizer } from '../model/gguf-tokenizer.ts'
import { loadTextTokenizer } from '../tokenizer/load-tokenizer.ts'
import { readSentencePieceModel } from '../tokenizer/sentencepiece-model.ts'
import { SentencePieceTokenizer } from '../tokenizer/sentencepiece.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { OWN_DATA } from '../train/run-data.ts'
import { checkTokenizerKind, formatOf } from './file-format.ts'

/**
 * @param given a file, or a folder that holds one: a dataset, a training run
 * @throws VeritError VERIT_TOKENIZER_FILE, VERIT_SENTENCEPIECE, VERIT_GGUF, VERIT_MODEL_FILE, VERIT_USAGE
 */
export function openTokenizer(given: string): TextTokenizer {
  const path = fileOf(given)
  using source = openRegular(path, 'the tokenizer')
  const first = Buffer.alloc(Math.min(4, source.size))
  source.read(0, first)
  if (first.toString('latin1') === 'GGUF') return readTokenizer(path, new GgufFile(source).metadata)
  const pieces = formatOf(source) === 'SentencePiece model'
  checkTokenizerKind(source, pieces ? 'SentencePiece model' : 'tokenizer.json')
  return pieces ? new SentencePieceTokenizer(readSentencePieceModel(source).parts, path) : loadTextTokenizer(path)
}

function fileOf(path: string): string {
  if (!isFolder(path)) return path
  const places = ['tokenizer.json', join(OWN_DATA, 'tokenizer.json'), RUN_MODEL, 'tokenizer.model']
  const file = places.map(place => join(path, place)).find(place => existsSync(place))
  if (file !== undefined) return file
  const hint = 'Name a tokenizer.json, a GGUF model, a SentencePiece model, or a folder with one of them'
  throw new VeritError('VERIT_USAGE', { problem: `${path} is a folder without a tokenizer`, hint })
}

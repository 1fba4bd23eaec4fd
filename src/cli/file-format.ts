/** Which format a file to inspect has, by its content. */
import { otherKind } from '../lib/other-kind.ts'
import { kindOfFile } from '../lib/file-kind.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { VeritError } from '../lib/errors.ts'

/** As it is written in sentences. */
export const formatName = (format: FileFormat): string =>
  format === 'gguf' ? 'GGUF file' : format === 'safetensors' ? 'safetensors file' : format

export type FileFormat = 'gguf' | 'safetensors' | 'tokenizer.json' | 'SentencePiece model'

const FORMATS: Readonly<Record<string, FileFormat>> = {
  gguf: 'gguf',
  safetensors: 'safetensors',
  sentencepiece: 'SentencePiece model',
  json: 'tokenizer.json',
}

/**
 * By the content; a file of none of these formats is taken for a damaged one of the format that its name ends in, by
 * default GGUF.
 */
export function formatOf(source: RegularFile): FileFormat {
  const { kind } = kindOfFile(source)
  if (Object.hasOwn(FORMATS, kind)) return FORMATS[kind]!
  if (source.name.endsWith('.safetensors')) return 'safetensors'
  if (source.name.endsWith('.model')) return 'SentencePiece model'
  return source.name.endsWith('.json') ? 'tokenizer.json' : 'gguf'
}

/**
 * Refuses what is no tokenizer file, in the words of what it is.
 * @throws VeritError VERIT_TOKENIZER_FILE
 */
export function checkTokenizerKind(source: RegularFile, format: FileFormat): void {
  if (format !== 'tokenizer.json' && format !== 'SentencePiece model') return
  const other = otherKind(source, format === 'tokenizer.json' ? 'json' : 'sentencepiece')
  if (other !== undefined) throw new VeritError('VERIT_TOKENIZER_FILE', { source: source.name, ...other })
}

/** Which format a file to inspect has, by its content. */
import { otherKind } from '../lib/other-kind.ts'
import { kindOfFile } from '../lib/file-kind.ts'
import { printable } from '../lib/printable.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { VeritError } from '../lib/errors.ts'
import { otherJson } from './json-kind.ts'

/** As it is written in sentences. */
export const formatName = (format: FileFormat): string =>
  format === 'gguf' ? 'GGUF file' : format === 'safetensors' ? 'safetensors file' : format

export type FileFormat = 'gguf' | 'safetensors' | 'tokenizer.json' | 'SentencePiece model'

const FORMATS: Readonly<Record<string, FileFormat>> = {
  gguf: 'gguf',
  safetensors: 'safetensors',
  sentencepiece: 'SentencePiece model',
  json: 'tokenizer.json'
}

/** Format by content; unknown content counts as a damaged file of the format in its name, by default GGUF. */
export function formatOf(source: RegularFile): FileFormat {
  const { kind } = kindOfFile(source)
  if (Object.hasOwn(FORMATS, kind)) return FORMATS[kind]!
  if (source.name.endsWith('.safetensors')) return 'safetensors'
  if (source.name.endsWith('.model')) return 'SentencePiece model'
  return source.name.endsWith('.json') ? 'tokenizer.json' : 'gguf'
}

/**
 * Refuses a file that is not a tokenizer, and names its actual kind.
 * @throws VeritError VERIT_TOKENIZER_FILE
 */
export function checkTokenizerKind(source: RegularFile, format: FileFormat): void {
  if (format !== 'tokenizer.json' && format !== 'SentencePiece model') return
  const other =
    format === 'tokenizer.json' ? (otherKind(source, 'json') ?? otherJson(source)) : otherKind(source, 'sentencepiece')
  if (other !== undefined) throw new VeritError('VERIT_TOKENIZER_FILE', { source: source.name, ...other })
}

/**
 * Refuses to inspect other JSON than tokenizer.json.
 * @throws VeritError VERIT_USAGE
 */
export function checkInspectable(source: RegularFile, format: FileFormat): void {
  const other = format === 'tokenizer.json' && kindOfFile(source).kind === 'json' ? otherJson(source) : undefined
  if (other === undefined) return
  const problem = `${printable(source.name)} cannot be inspected: ${other.problem}`
  throw new VeritError('VERIT_USAGE', { problem, hint: other.fix })
}

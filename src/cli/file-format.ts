/** Which format a file to inspect has, by what stands in it. */
import type { RegularFile } from '../lib/regular-file.ts'

/** As it is written in sentences. */
export const formatName = (format: FileFormat): string => (format === 'gguf' ? 'GGUF file' : format === 'safetensors' ? 'safetensors file' : format)

export type FileFormat = 'gguf' | 'safetensors' | 'tokenizer.json' | 'SentencePiece model'

/** By the first bytes; a file that begins like none of them is a GGUF file, or by its name a SentencePiece model, that is damaged. */
export function formatOf(source: RegularFile): FileFormat {
  const first = Buffer.alloc(Math.min(16, source.size))
  source.read(0, first)
  if (first.toString('latin1', 0, 4) === 'GGUF') return 'gguf'
  // A tokenizer is JSON from its first byte, a safetensors file from its ninth. A length of 2^56 and more is no header: what stands there is text.
  if (/^\s*[{[]/.test(first.toString('latin1', 0, 9)) && first[7] !== 0) return 'tokenizer.json'
  if (beginsWithPiece(first)) return 'SentencePiece model'
  if (first[8] === 0x7b) return 'safetensors'
  return source.name.endsWith('.model') ? 'SentencePiece model' : 'gguf'
}

/** Field 1, a message whose field 1 is a text within it: the first piece. A safetensors file has zeros there. */
function beginsWithPiece(first: Buffer): boolean {
  const long = first[1]! >= 0x80 ? 1 : 0
  const message = first[1]! % 0x80 + 0x80 * (long === 1 ? first[2]! : 0)
  const text = first.subarray(2 + long)
  return first[0] === 0x0a && text[0] === 0x0a && text[1]! > 0 && text[1]! + 2 <= message && text[2]! > 0
}

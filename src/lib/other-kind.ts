/**
 * The actual kind of a file that is not a model, for its user: a Git LFS pointer, a web page, an archive, another
 * format. Readers call it when a file does not begin as their format does; lib/file-kind.ts recognises the content.
 */
import { dirname } from 'node:path'
import { VeritError } from './errors.ts'
import { kindOfFile, nextStepOf } from './file-kind.ts'
import type { FileKind } from './file-kind.ts'
import type { ByteSource } from './regular-file.ts'
import { veritCommand } from './shell-word.ts'

export type WantedFormat = 'gguf' | 'safetensors' | 'json' | 'sentencepiece'

/** The fields of an error: kind of the file, and remedy. */
export interface OtherKind {
  /** The end of a sentence: 'it is a Git LFS pointer, not the file itself'. */
  readonly problem: string
  /** A sentence without its full stop. */
  readonly fix: string
}

export const BIG_ENDIAN: OtherKind = {
  problem: 'the file is big-endian, which is not supported',
  fix: 'Get the little-endian file, or convert this one with gguf_convert_endian.py of llama.cpp'
}

/** Kinds of lib/file-kind.ts that each format is or may be. */
const FITTING: Readonly<Record<WantedFormat, readonly string[]>> = {
  gguf: ['binary'],
  safetensors: ['safetensors', 'binary'],
  json: ['json', 'jsonl', 'text', 'utf-8-damaged'],
  sentencepiece: ['sentencepiece', 'text', 'binary']
}

/**
 * Refuses a file that does not begin as a GGUF file does. Reads its first bytes only, and parses nothing: for processes
 * that must not parse a model, before they ask whether it is trusted.
 * @throws VeritError VERIT_GGUF, VERIT_FILE_IO
 */
export function refuseOtherThanGguf(source: ByteSource): void {
  const magic = Buffer.alloc(Math.min(4, source.size))
  source.read(0, magic)
  if (magic.toString('latin1') === 'GGUF') return
  const other = otherKind(source, 'gguf') ?? { problem: 'it does not begin with GGUF and a header' }
  throw new VeritError('VERIT_GGUF', { file: source.name, offset: 0, ...other })
}

/**
 * @param source a file that does not begin as `wanted` does
 * @returns undefined for a file that may be a damaged one of that format
 */
export function otherKind(source: ByteSource, wanted: WantedFormat): OtherKind | undefined {
  const found = kindOfFile(source)
  if (wanted === 'gguf' && found.kind === 'gguf') return BIG_ENDIAN // the magic number backwards
  if (FITTING[wanted].includes(found.kind)) return undefined
  return { problem: `it is ${found.what}`, fix: stepOf(found, source.name, wanted) }
}

const NAMES: Readonly<Record<WantedFormat, string>> = {
  gguf: 'a .gguf file',
  safetensors: 'a .safetensors file',
  json: 'a JSON file',
  sentencepiece: 'a SentencePiece model (tokenizer.model)'
}

/** A text in UTF-16 becomes JSON in UTF-8, but never a model. */
function stepOf(found: FileKind, path: string, wanted: WantedFormat): string {
  const common = found.group === 'encoding' && wanted !== 'json' ? undefined : nextStepOf(found, path)
  return common ?? stepFor(found, path, wanted)
}

/** The remedy, if it depends on the purpose of the file. */
function stepFor({ kind, group }: FileKind, path: string, wanted: WantedFormat): string {
  if (kind === 'empty') return 'Get the file again: a download or copy of it did not finish'
  if (kind === 'safetensors' && wanted === 'gguf')
    return `Convert the folder of the model: ${veritCommand('convert', dirname(path), 'model.gguf')}`
  if (kind === 'pickle')
    return 'Get the model as GGUF or safetensors, or save its weights with torch.save: a pickle alone can run code'
  if (kind === 'pytorch')
    return `Convert the checkpoint, or the folder of the model: ${veritCommand('convert', path, 'model.gguf')}`
  if (kind === 'ggml') return 'Get the model as GGUF, or convert it with llama.cpp (convert_llama_ggml_to_gguf.py)'
  if (kind === 'html')
    return 'Download the file itself: on a model hub its address has /resolve/ where that of the page has /blob/'
  if (group === 'model' && wanted === 'gguf') return 'Get the model as GGUF, or convert its Hugging Face folder'
  return `Give the path of ${NAMES[wanted]}`
}

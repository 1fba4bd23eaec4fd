/** A text file as tokens. */
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { tokensInMemory } from './token-source.ts'
import type { TokenSource } from './token-source.ts'

const CHUNK = 1 << 20

/** Encodes a UTF-8 file piece by piece; special tokens in it are plain text. */
export function encodeFile(path: string, tokenizer: TextTokenizer): TokenSource {
  const file = openRegular(path, 'the text to evaluate')
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const stream = tokenizer.encodeStream()
  const pieces: Int32Array[] = []
  try {
    for (let at = 0; at < file.size; at += CHUNK) {
      const bytes = Buffer.alloc(Math.min(CHUNK, file.size - at))
      file.read(at, bytes)
      pieces.push(stream.push(decode(decoder, path, bytes)))
    }
    pieces.push(stream.push(decode(decoder, path)), stream.end())
  } finally {
    file.close()
  }
  const ids = new Int32Array(pieces.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const piece of pieces) {
    ids.set(piece, at)
    at += piece.length
  }
  return tokensInMemory(ids)
}

function decode(decoder: InstanceType<typeof TextDecoder>, source: string, bytes?: Uint8Array): string {
  try {
    return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode()
  } catch (e) {
    throw new VeritError('VERIT_EVAL_DATA', { source, problem: 'it is not UTF-8 text' }, e)
  }
}

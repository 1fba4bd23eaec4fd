/** Reads a tokenizer.json from disk. */
import { isUtf8 } from 'node:buffer'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import { Tokenizer } from './tokenizer.ts'

/** Largest tokenizer.json that is read, in bytes; the largest vocabularies in use need a third of it. */
const MAX_BYTES = 1 << 26

/** The tokenizer in the file at `path`. */
export function loadTokenizer(path: string): Tokenizer {
  const file = openRegular(path, 'the tokenizer')
  try {
    if (file.size > MAX_BYTES)
      throw new VeritError('VERIT_TOKENIZER_FILE', { source: path, problem: 'it is larger than 64 MiB' })
    const bytes = file.readAll()
    if (!isUtf8(bytes)) throw new VeritError('VERIT_TOKENIZER_FILE', { source: path, problem: 'it is not UTF-8' })
    return Tokenizer.fromJSON(bytes.toString('utf8'), path)
  } finally {
    file.close()
  }
}

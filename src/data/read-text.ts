/** Reads a UTF-8 file as pieces of text, never cutting a character, while its bytes are hashed. */
import { createHash } from 'node:crypto'
import { isUtf8 } from 'node:buffer'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import { utf8FirstInvalid, utf8Pending } from '../lib/utf8.ts'
import type { InputFile } from './inputs.ts'

const BLOCK = 1 << 20

export interface ReadResult {
  bytes: number
  /** `sha256:...` of the bytes. */
  sha256: string
}

/**
 * Yields the text of a file in pieces of at most 1 MiB of UTF-8 and returns its size and digest.
 * @param replaceInvalid bytes that are not UTF-8 become U+FFFD; otherwise they throw VERIT_DATA_UTF8 with their offset.
 */
export function* readText(input: InputFile, replaceInvalid: boolean): Generator<string, ReadResult, void> {
  const file = openRegular(input.path, 'a text to prepare')
  try {
    const hash = createHash('sha256')
    const buffer = Buffer.alloc(BLOCK)
    let held = 0
    for (let position = 0; position < file.size;) {
      const fresh = Math.min(BLOCK - held, file.size - position)
      const block = buffer.subarray(held, held + fresh)
      file.read(position, block)
      hash.update(block)
      const length = held + fresh
      position += fresh
      // At the end of the file, what is pending is wrong too.
      const pending = position < file.size ? utf8Pending(buffer, length) : 0
      const whole = buffer.subarray(0, length - pending)
      if (!replaceInvalid && !isUtf8(whole)) {
        throw new VeritError('VERIT_DATA_UTF8', { path: input.path, offset: position - length + utf8FirstInvalid(whole) })
      }
      const text = whole.toString('utf8')
      buffer.copyWithin(0, length - pending, length)
      held = pending
      yield text
    }
    file.checkUnchanged()
    return { bytes: file.size, sha256: `sha256:${hash.digest('hex')}` }
  } finally {
    file.close()
  }
}

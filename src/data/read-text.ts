/**
 * The one reader of text files, for `prepare`, `train`, `eval` and `tokenizer`. It returns cleaned text (clean.ts) in
 * pieces that never split a character, and hashes the bytes. It takes any file; input-kind.ts decides which are texts.
 */
import { createHash } from 'node:crypto'
import { isUtf8 } from 'node:buffer'
import { VeritError } from '../lib/errors.ts'
import { HEAD_BYTES, kindOfBytes, kindOfFile } from '../lib/file-kind.ts'
import type { FileKind } from '../lib/file-kind.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { utf8FirstInvalid, utf8Pending } from '../lib/utf8.ts'
import { Cleaner } from './clean.ts'
import { isReadable, refusalOf } from './input-kind.ts'
import type { TextRules } from './input-kind.ts'

const BLOCK = 1 << 20

export interface ReadRules extends TextRules {
  /** Default true. False: keep every character. */
  readonly clean?: boolean
}

export interface ReadResult {
  readonly bytes: number
  /** `sha256:...` of the bytes. */
  readonly sha256: string
  /** Invalid sequences of bytes that were read as U+FFFD. */
  readonly replaced: number
  /** Control characters that cleaning removed. */
  readonly removed: number
}

/** Bytes of a file that end with a whole character, and their position in it. */
interface Block {
  readonly bytes: Buffer
  readonly position: number
  /** The bytes as read, without those held back from the block before. */
  readonly fresh: Buffer
}

function* blocksOf(file: RegularFile): Generator<Block> {
  const buffer = Buffer.alloc(BLOCK)
  let held = 0
  for (let position = 0; position < file.size;) {
    const count = Math.min(BLOCK - held, file.size - position)
    const fresh = buffer.subarray(held, held + count)
    file.read(position, fresh)
    const length = held + count
    position += count
    // At the end of the file an incomplete character is invalid, too.
    const pending = position < file.size ? utf8Pending(buffer, length) : 0
    yield { bytes: buffer.subarray(0, length - pending), position: position - length, fresh }
    buffer.copyWithin(0, length - pending, length)
    held = pending
  }
}

/**
 * Yields the cleaned text of a file in pieces of at most 1 MiB of UTF-8 and returns its size and digest.
 * @throws VeritError VERIT_DATA_UTF8 with the offset of the first invalid byte, VERIT_DATA_KIND where the text around
 * it is in another encoding; neither with `replaceInvalid`
 */
export function* readText(path: string, rules: ReadRules = {}): Generator<string, ReadResult, void> {
  using file = openRegular(path, 'a text to read')
  const hash = createHash('sha256')
  const cleaner = new Cleaner()
  const { clean = true } = rules
  let replaced = 0
  for (const { bytes, position, fresh } of blocksOf(file)) {
    hash.update(fresh)
    const valid = isUtf8(bytes)
    if (!valid && rules.replaceInvalid !== true) throw invalidIn(path, bytes, position, file.size)
    const text = bytes.toString('utf8')
    if (!valid) replaced += text.split('\ufffd').length - 1
    yield clean ? cleaner.push(text) : text
  }
  if (clean) yield cleaner.end()
  file.checkUnchanged()
  return { bytes: file.size, sha256: `sha256:${hash.digest('hex')}`, replaced, removed: cleaner.removed }
}

/** Latin-1 whose first letter beyond ASCII comes late begins like UTF-8: the text around the byte decides. */
function invalidIn(path: string, bytes: Buffer, position: number, size: number): VeritError {
  const first = utf8FirstInvalid(bytes)
  const from = Math.max(0, first - HEAD_BYTES / 2)
  const around = bytes.subarray(from, from + HEAD_BYTES)
  const kind = kindOfBytes(around, position + from + around.length < size ? Infinity : around.length)
  if (kind.group !== 'encoding' || kind.kind.startsWith('utf-')) {
    return new VeritError('VERIT_DATA_UTF8', { path, offset: position + first })
  }
  return refusalOf(path, kind, '')
}

/** The kind of the file at a path. @throws VeritError as `openRegular` does */
export function kindAt(path: string): FileKind {
  using file = openRegular(path, 'a text to read')
  return kindOfFile(file)
}

/** Looks at a file before it is read. @throws VeritError VERIT_DATA_KIND for kinds that the rules do not read */
export function checkKind(path: string, rules: TextRules): void {
  using file = openRegular(path, 'a text to read')
  const kind = kindOfFile(file)
  if (isReadable(kind, rules)) return
  const head = Buffer.alloc(Math.min(HEAD_BYTES, file.size))
  file.read(0, head)
  throw refusalOf(path, kind, head.toString('utf8'))
}

/** Whether all of a file is UTF-8, block by block, so that a caller can let other work through. */
export function* checkUtf8(path: string): Generator<number, boolean, void> {
  using file = openRegular(path, 'a text to read')
  for (const { bytes, position } of blocksOf(file)) {
    if (!isUtf8(bytes)) return false
    yield position + bytes.length
  }
  return true
}

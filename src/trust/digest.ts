/**
 * SHA-256 digests in the form used by every record of Verit: `sha256:` and 64 lower-case hexadecimal digits. A file is
 * hashed through an open descriptor, in bounded memory, so that the bytes that were hashed are the bytes that are
 * parsed afterwards.
 */
import { createHash } from 'node:crypto'
import { fstatSync, read as fsRead } from 'node:fs'
import { promisify } from 'node:util'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { openRegular } from '../lib/regular-file.ts'

/** `sha256:` followed by 64 lower-case hexadecimal digits. */
export type Digest = `sha256:${string}`

const CHUNK = 2 << 20
const read = promisify(fsRead)

export interface DigestOptions {
  /** Called after each chunk with the bytes hashed so far and the bytes in all. */
  onProgress?: (done: number, total: number) => void
}

/** The digest of bytes, or of the UTF-8 form of a string. */
export function digestBytes(data: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`
}

/**
 * The digest of a whole open file, from its first byte, independent of the descriptor's position, which does not move.
 * One chunk is read while the previous one is hashed. Memory: 4 MiB; the event loop runs between chunks. A file that
 * changes its length is an error. `name` is used in errors only.
 */
export async function digestDescriptor(fd: number, name: string, options: DigestOptions = {}): Promise<Digest> {
  const hash = createHash('sha256')
  try {
    const total = fstatSync(fd).size
    let free = Buffer.allocUnsafe(CHUNK)
    let done = 0
    let next = read(fd, Buffer.allocUnsafe(CHUNK), 0, CHUNK, 0)
    while (done <= total) {
      const { bytesRead, buffer } = await next
      if (bytesRead === 0) break
      next = read(fd, free, 0, CHUNK, done + bytesRead)
      next.catch(() => undefined) // told when it is awaited; the loop may end before
      hash.update(buffer.subarray(0, bytesRead))
      free = buffer
      done += bytesRead
      options.onProgress?.(done, total)
    }
    await next // of a file that grows: its descriptor may be closed when this ends
    if (done !== total)
      throw new VeritError('VERIT_FILE_IO', {
        path: name,
        action: 'read',
        reason: 'its length changed while it was hashed'
      })
  } catch (e) {
    throw VeritError.is(e) ? e : fileError(e, name, 'read')
  }
  return `sha256:${hash.digest('hex')}`
}

/** The digest of the regular file at `path`. */
export async function digestFile(path: string, options: DigestOptions = {}): Promise<Digest> {
  const file = openRegular(path, 'the file to hash')
  try {
    return await digestDescriptor(file.fd, path, options)
  } finally {
    file.close()
  }
}

/** Checks that a pulled model still has its digest. @throws VeritError VERIT_MODEL_STORE */
export function checkPulled(path: string, digest: Digest, pulled: Digest): void {
  if (digest !== pulled)
    throw new VeritError('VERIT_MODEL_STORE', {
      path,
      problem: `was changed: its digest is ${digest}, and not that of the model that was pulled`
    })
}

/** Whether text has the form of a digest. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && /^sha256:[0-9a-f]{64}$/.test(text)
}

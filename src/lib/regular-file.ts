/**
 * Opens a regular file for reading, and nothing else: a FIFO, device, socket or folder is refused before a byte is read
 * (opening does not block on a FIFO). A symbolic link to a regular file is followed. Every read is positional, on one
 * descriptor, so that a file can be hashed, checked and parsed without its path being resolved twice.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { VeritError, invariant } from './errors.ts'
import { fileError } from './file-error.ts'

/** Bytes at known positions: an open file, or a Uint8Array. */
export interface ByteSource {
  /** Name in errors: the path, or a label. */
  readonly name: string
  /** Length in bytes, a safe integer. */
  readonly size: number
  /** Fills `target` from byte `position` on; throws if the source has fewer bytes. */
  read(position: number, target: Uint8Array): void
}

function kindOf(s: BigIntStats): string {
  if (s.isDirectory()) return 'a folder'
  if (s.isFIFO()) return 'a pipe'
  if (s.isSocket()) return 'a socket'
  return s.isCharacterDevice() || s.isBlockDevice() ? 'a device' : 'not a file'
}

export class RegularFile implements ByteSource, Disposable {
  readonly name: string
  readonly size: number
  #fd: number
  #own: boolean
  #mtime: bigint

  /** Takes an open descriptor; closes it on `close()` only if `own` is true. Use `openRegular` for a path. */
  constructor(fd: number, name: string, own: boolean) {
    const s = fstatSync(fd, { bigint: true })
    if (!s.isFile()) throw new VeritError('VERIT_FILE_KIND', { path: name, kind: kindOf(s) })
    if (s.size > BigInt(Number.MAX_SAFE_INTEGER))
      throw new VeritError('VERIT_FILE_IO', { path: name, action: 'read', reason: `it claims ${s.size} bytes` })
    this.name = name
    this.size = Number(s.size)
    this.#fd = fd
    this.#own = own
    this.#mtime = s.mtimeNs
  }

  /** The open descriptor, for hashing or for another process. */
  get fd(): number {
    invariant(this.#fd >= 0, `${this.name} is closed`)
    return this.#fd
  }

  read(position: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      let n: number
      try {
        n = readSync(this.fd, target, done, target.length - done, position + done)
      } catch (e) {
        throw VeritError.is(e) ? e : fileError(e, this.name, 'read')
      }
      if (n === 0)
        throw new VeritError('VERIT_FILE_IO', {
          path: this.name,
          action: 'read',
          reason: `it ends at byte ${position + done}`
        })
      done += n
    }
  }

  /** All bytes. Check `size` first: nothing else limits the memory that this takes. */
  readAll(): Buffer {
    const bytes = Buffer.alloc(this.size)
    this.read(0, bytes)
    return bytes
  }

  /** Throws if the file's length or modification time has changed since it was opened. */
  checkUnchanged(): void {
    const s = fstatSync(this.fd, { bigint: true })
    if (s.size !== BigInt(this.size) || s.mtimeNs !== this.#mtime) {
      throw new VeritError('VERIT_FILE_IO', { path: this.name, action: 'read', reason: 'it changed while it was open' })
    }
  }

  close(): void {
    if (this.#own && this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/**
 * Opens a file for input, whoever owns it. trusted-file.ts opens files that hold a secret or decide something.
 * @param purpose completes the error for a missing file, for example "the model to inspect".
 * @param follow whether a link is followed
 */
export function openRegular(path: string, purpose: string, follow = true): RegularFile {
  const flags = follow ? 0 : (constants.O_NOFOLLOW ?? 0)
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0) | flags)
  } catch (e) {
    throw fileError(e, path, 'read', purpose)
  }
  try {
    return new RegularFile(fd, path, true)
  } catch (e) {
    closeSync(fd)
    throw e
  }
}

/** A source over bytes in memory. */
export function bytesSource(bytes: Uint8Array, name: string): ByteSource {
  return {
    name,
    size: bytes.length,
    read(position, target) {
      invariant(position >= 0 && position + target.length <= bytes.length, `read past the end of ${name}`)
      target.set(bytes.subarray(position, position + target.length))
    }
  }
}

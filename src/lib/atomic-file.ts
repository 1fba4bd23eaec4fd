/**
 * Writes a file so that a reader, or a crash at any moment, sees either the old file or the whole new one: a temporary
 * file with an exclusive name in the same folder, fsync, rename, fsync of the folder. A failure removes the temporary
 * file; kill -9 leaves it behind under a name that `removeStaleTemporaries` recognises.
 */
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  unlinkSync,
  writeSync
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { VeritError, invariant } from './errors.ts'
import { fileError } from './file-error.ts'
import { isAlive } from './process-alive.ts'

export interface AtomicOptions {
  /** Permission bits of a new file before the umask. Default 0o644. */
  mode?: number
  /** When false, an existing file is an error (checked atomically at the end, too). Default true. */
  overwrite?: boolean
}

const TEMPORARY = /^\.verit-(\d+)-[0-9a-f]{16}\.tmp$/

/**
 * Where the bytes go: a link is followed, so that the link stays and its target is replaced; anything but a regular
 * file is refused.
 */
function targetOf(path: string, overwrite: boolean): string {
  const entry = lstatSync(path, { throwIfNoEntry: false })
  if (entry === undefined) return path
  if (!overwrite) throw new VeritError('VERIT_FILE_EXISTS', { path })
  const target = entry.isSymbolicLink() ? realpathSync(path) : path
  if (!lstatSync(target).isFile())
    throw new VeritError('VERIT_FILE_KIND', { path, kind: entry.isDirectory() ? 'a folder' : 'not a regular file' })
  return target
}

/**
 * A file being written. `commit()` makes it appear; `abort()`, or leaving a `using` block uncommitted, removes every
 * trace.
 */
export class AtomicFile implements Disposable {
  /** Bytes written so far. */
  position = 0
  #path: string
  #target: string
  #temporary: string
  #overwrite: boolean
  #fd: number

  constructor(path: string, options: AtomicOptions = {}) {
    this.#path = path
    this.#overwrite = options.overwrite ?? true
    try {
      this.#target = targetOf(path, this.#overwrite)
      this.#temporary = join(dirname(this.#target), `.verit-${process.pid}-${randomBytes(8).toString('hex')}.tmp`)
      this.#fd = openSync(
        this.#temporary,
        constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0),
        options.mode ?? 0o644
      )
    } catch (e) {
      throw openingError(e, path)
    }
  }

  /** Appends bytes. On failure the temporary file is removed before the error is thrown. */
  write(bytes: Uint8Array): void {
    invariant(this.#fd >= 0, `${this.#path} is written after it was closed`)
    this.#guard(() => {
      for (let done = 0; done < bytes.length;)
        done += writeSync(this.#fd, bytes, done, Math.min(bytes.length - done, 1 << 30))
    })
    this.position += bytes.length
  }

  /** Makes the file durable and gives it its name. */
  commit(): void {
    invariant(this.#fd >= 0, `${this.#path} is committed twice`)
    this.#guard(() => {
      fsyncSync(this.#fd)
      closeSync(this.#fd)
      this.#fd = -1
      if (this.#overwrite) renameSync(this.#temporary, this.#target)
      else this.#linkNew()
      syncFolder(dirname(this.#target))
    })
  }

  /** Gives up: closes and removes the temporary file. Harmless after `commit()`. */
  abort(): void {
    if (this.#fd < 0) return
    closeSync(this.#fd)
    this.#fd = -1
    unlinkQuietly(this.#temporary)
  }

  [Symbol.dispose](): void {
    this.abort()
  }

  /** link() fails where the name exists, which rename() would not. */
  #linkNew(): void {
    try {
      linkSync(this.#temporary, this.#target)
    } catch (e) {
      if ((e as NodeJS.ErrnoException).code === 'EEXIST')
        throw new VeritError('VERIT_FILE_EXISTS', { path: this.#path }, e)
      throw e
    }
    unlinkQuietly(this.#temporary)
  }

  #guard(work: () => void): void {
    try {
      work()
    } catch (e) {
      if (this.#fd >= 0) this.abort()
      else unlinkQuietly(this.#temporary)
      throw fileError(e, this.#path, 'write')
    }
  }
}

/** Procfs and the like report ENOENT for a new file although the folder is there. */
function openingError(e: unknown, path: string): unknown {
  const folder = dirname(path)
  if (!existsSync(folder)) return fileError(e, folder, 'write', 'the folder to write into')
  const { code, syscall } = e as NodeJS.ErrnoException
  if (code !== 'ENOENT' || syscall !== 'open') return fileError(e, path, 'write')
  return new VeritError('VERIT_FILE_IO', { path, action: 'write', reason: 'no file can be made there' }, e)
}

/** Writes one file whole. Strings are UTF-8; an iterable is written chunk by chunk. */
export function writeFileAtomic(
  path: string,
  data: string | Uint8Array | Iterable<Uint8Array>,
  options: AtomicOptions = {}
): void {
  using file = new AtomicFile(path, options)
  if (typeof data === 'string') file.write(Buffer.from(data, 'utf8'))
  else if (data instanceof Uint8Array) file.write(data)
  else for (const chunk of data) file.write(chunk)
  file.commit()
}

/**
 * Removes temporary files that killed processes left in a folder, and gives their number. A file is removed when no
 * process on this machine has the number in its name; so call it only on folders that one machine writes.
 */
export function removeStaleTemporaries(folder: string): number {
  let removed = 0
  for (const name of readdirSync(folder)) {
    const match = TEMPORARY.exec(name)
    if (match === null || isAlive(Number(match[1]))) continue
    unlinkQuietly(join(folder, name))
    removed++
  }
  return removed
}

function unlinkQuietly(path: string): void {
  try {
    unlinkSync(path)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError(e, path, 'write')
  }
}

/**
 * A rename is durable only once its folder is. Some file systems and Windows cannot sync a folder: there is nothing
 * more to do then.
 */
function syncFolder(folder: string): void {
  let fd: number
  try {
    fd = openSync(folder, constants.O_RDONLY)
  } catch {
    return
  }
  try {
    fsyncSync(fd)
  } catch (e) {
    if (!['EINVAL', 'EPERM', 'EISDIR', 'ENOTSUP'].includes((e as NodeJS.ErrnoException).code ?? '')) throw e
  } finally {
    closeSync(fd)
  }
}

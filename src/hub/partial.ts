/**
 * A file being downloaded, in its own folder under `quarantine`: `data`, and `about.json` with the facts for resuming.
 * The folder's name has the process and host that use it; a rename takes over a folder that nobody uses, so two
 * downloads never write to one file. A process of another host (another container that shares the store) cannot be
 * seen: its folder counts as abandoned after a day without growth. Only synced bytes count as kept; after a crash, the
 * rest is downloaded again.
 */
import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync
} from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { isAlive } from '../lib/process-alive.ts'
import { thisHost } from './this-host.ts'

/** Claims without a host are of earlier versions. */
const CLAIMED = /^[0-9a-f]{32}\.(?:([0-9a-f]{16})-)?(\d+)-[0-9a-f]{16}$/
const DAY_MS = 86_400_000
const SYNC_BYTES = 64 << 20

export interface About {
  /** Strong entity tag of the file (RFC 9110, section 8.8.3). */
  readonly etag: string
  /** Bytes of the whole file. */
  readonly size: number
}

export class Partial implements Disposable {
  readonly folder: string
  readonly fd: number
  /** Bytes that are there. */
  bytes = 0
  #about: About | undefined
  #synced = 0
  #key: string
  #quarantine: string
  #open = true

  /**
   * Takes over an earlier download from `address`, or begins a new one. @param quarantine an existing private folder
   */
  constructor(quarantine: string, address: string) {
    this.#quarantine = quarantine
    this.#key = createHash('sha256').update(address).digest('hex').slice(0, 32)
    this.folder = join(quarantine, `${this.#key}.${thisHost}-${process.pid}-${randomBytes(8).toString('hex')}`)
    try {
      if (!this.#takeOver()) mkdirSync(this.folder, { mode: 0o700 })
      this.fd = openSync(this.path, constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0), 0o600)
    } catch (e) {
      throw fileError(e, this.folder, 'write')
    }
    const kept = readAbout(join(this.folder, 'about.json'))
    if (kept !== undefined && kept.bytes <= fstatSync(this.fd).size) {
      this.#about = kept.about
      this.bytes = this.#synced = kept.bytes
    }
    ftruncateSync(this.fd, this.bytes)
  }

  get path(): string {
    return join(this.folder, 'data')
  }

  /** Facts about the partial file; undefined if it cannot be resumed. */
  get about(): About | undefined {
    return this.bytes > 0 ? this.#about : undefined
  }

  /** Forgets all bytes. `about` undefined: the file cannot be gone on with later. */
  restart(about: About | undefined): void {
    this.#about = about
    this.bytes = this.#synced = 0
    try {
      ftruncateSync(this.fd, 0)
      rmSync(join(this.folder, 'about.json'), { force: true })
    } catch (e) {
      throw fileError(e, this.path, 'write')
    }
  }

  append(chunk: Uint8Array): void {
    try {
      for (let done = 0; done < chunk.length;)
        done += writeSync(this.fd, chunk, done, chunk.length - done, this.bytes + done)
      this.bytes += chunk.length
      if (this.bytes - this.#synced >= SYNC_BYTES) this.#keep()
    } catch (e) {
      throw VeritError.is(e) ? e : fileError(e, this.path, 'write')
    }
  }

  /** Makes all bytes durable. */
  settle(): void {
    try {
      fdatasyncSync(this.fd)
    } catch (e) {
      throw fileError(e, this.path, 'write')
    }
  }

  #keep(): void {
    fdatasyncSync(this.fd)
    this.#synced = this.bytes
    if (this.#about !== undefined)
      writeFileAtomic(join(this.folder, 'about.json'), JSON.stringify({ ...this.#about, bytes: this.bytes }), {
        mode: 0o600
      })
  }

  /** Keeps a resumable part for a later download, and removes the rest. Harmless after `discard()`. */
  [Symbol.dispose](): void {
    if (!this.#open) return
    if (this.about === undefined) return this.discard()
    try {
      this.#keep()
      this.#open = false
      closeSync(this.fd)
      renameSync(this.folder, join(this.#quarantine, this.#key))
    } catch {
      // no room for a note, or another download has left the same file: this one is not needed
      this.discard()
    }
  }

  /** Removes it, or the rest of it after its data were moved. */
  discard(): void {
    if (this.#open) closeSync(this.fd)
    this.#open = false
    rmSync(this.folder, { recursive: true, force: true })
  }

  #takeOver(): boolean {
    for (const name of readdirSync(this.#quarantine)) {
      if (!name.startsWith(this.#key) || !isAbandoned(this.#quarantine, name)) continue
      try {
        touch(join(this.#quarantine, name)) // before: another host must not take it for left at once
        renameSync(join(this.#quarantine, name), this.folder)
        return true
      } catch (e) {
        if ((e as NodeJS.ErrnoException).code !== 'ENOENT') throw e // another download was faster
      }
    }
    return false
  }
}

/** Whether no living process has this folder of the quarantine. */
export function isAbandoned(quarantine: string, name: string): boolean {
  const claim = CLAIMED.exec(name)
  if (claim === null) return /^[0-9a-f]{32}$/.test(name)
  const [, host, pid] = claim
  return host === thisHost ? !isAlive(Number(pid)) : Date.now() - grown(join(quarantine, name)) > DAY_MS
}

/** When it was last written, in milliseconds since 1970; infinite if it no longer exists. */
function grown(folder: string): number {
  const times = [folder, join(folder, 'data')].flatMap(path => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? [])
  return times.length === 0 ? Infinity : Math.max(...times)
}

function touch(folder: string): void {
  const now = new Date()
  utimesSync(folder, now, now)
}

function readAbout(path: string): { about: About; bytes: number } | undefined {
  try {
    const { etag, size, bytes } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    if (
      typeof etag !== 'string' ||
      !isStrong(etag) ||
      !Number.isSafeInteger(size) ||
      !Number.isSafeInteger(bytes) ||
      (bytes as number) < 0 ||
      (size as number) < 1
    )
      return undefined
    // for a whole file, the last byte is requested again: the host then tells whether it is still the same file
    return { about: { etag, size: size as number }, bytes: Math.min(bytes as number, (size as number) - 1) }
  } catch {
    return undefined
  }
}

/** Whether an entity tag is a strong one: the same tag, the same bytes. */
export function isStrong(etag: string): boolean {
  return /^"[\x21\x23-\x7e]{1,200}"$/.test(etag)
}

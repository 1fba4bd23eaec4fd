/**
 * A file to push: opened once, hashed through its descriptor, and sent through the same one. It is hashed again while
 * it is sent, so that a changed file is an error and not another model.
 */
import { createHash } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { digestDescriptor } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'

const CHUNK = 1 << 20
const SAMPLE = 512

export class PushFile implements Disposable {
  /** Where it is here. */
  readonly from: string
  /** Path in the repository. */
  readonly path: string
  readonly digest: Digest
  #file: RegularFile

  private constructor(from: string, path: string, digest: Digest, file: RegularFile) {
    this.from = from
    this.path = path
    this.digest = digest
    this.#file = file
  }

  /** @throws VeritError those of opening, VERIT_FILE_IO */
  static async open(
    from: string,
    path: string,
    onHash: (done: number, total: number) => void = () => undefined
  ): Promise<PushFile> {
    const file = openRegular(from, 'the file to push')
    try {
      return new PushFile(from, path, await digestDescriptor(file.fd, from, { onProgress: onHash }), file)
    } catch (e) {
      file.close()
      throw e
    }
  }

  get bytes(): number {
    return this.#file.size
  }

  /** SHA-256, 64 hexadecimal digits: its name in Git LFS. */
  get oid(): string {
    return this.digest.slice(7)
  }

  /** Its first bytes, by which a hub decides how it is stored. */
  get sample(): Buffer {
    const sample = Buffer.alloc(Math.min(SAMPLE, this.bytes))
    this.#file.read(0, sample)
    return sample
  }

  /** All bytes; for small files. */
  get content(): Buffer {
    const bytes = Buffer.alloc(this.bytes)
    this.#file.read(0, bytes)
    if (createHash('sha256').update(bytes).digest('hex') !== this.oid) throw this.#changed()
    return bytes
  }

  /** Git's name of the content: SHA-1, 40 hexadecimal digits. */
  get blobId(): string {
    return createHash('sha1').update(`blob ${this.bytes}\0`).update(this.content).digest('hex')
  }

  /** All bytes in pieces. @throws VeritError VERIT_FILE_IO at the end if they differ from the hashed ones */
  async *chunks(onProgress: (done: number) => void): AsyncGenerator<Buffer> {
    const hash = createHash('sha256')
    for (let at = 0; at < this.bytes;) {
      const piece = Buffer.allocUnsafe(Math.min(CHUNK, this.bytes - at))
      this.#file.read(at, piece)
      hash.update(piece)
      at += piece.length
      if (at === this.bytes && hash.copy().digest('hex') !== this.oid) throw this.#changed()
      yield piece
      onProgress(at)
    }
  }

  [Symbol.dispose](): void {
    this.#file.close()
  }

  #changed(): VeritError {
    return new VeritError('VERIT_FILE_IO', {
      path: this.from,
      action: 'read',
      reason: 'it was changed while it was pushed'
    })
  }
}

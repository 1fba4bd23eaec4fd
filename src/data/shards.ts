/**
 * Token shards: files of packed token ids. A 32-byte header (magic "VERITTOK", u32 version 1, u32 bytes a token (2 or
 * 4), u64 number of tokens, u64 zero), then the ids, unsigned; everything little-endian. The file ends with the last
 * id.
 */
import { createHash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import type { SplitName } from './split.ts'

export const SHARD_HEADER = 32
const MAGIC = Buffer.from('VERITTOK', 'latin1')
const VERSION = 1
const BUFFER = 1 << 20

/** Bytes a token takes in a shard. */
export type TokenWidth = 2 | 4

export interface ShardRecord {
  file: string
  tokens: number
  bytes: number
  /** `sha256:...` of the file. */
  sha256: string
}

/** Width for a vocabulary. */
export function tokenWidth(vocabSize: number): TokenWidth {
  return vocabSize <= 1 << 16 ? 2 : 4
}

function header(width: TokenWidth, tokens: number): Buffer {
  const h = Buffer.alloc(SHARD_HEADER)
  MAGIC.copy(h)
  h.writeUInt32LE(VERSION, 8)
  h.writeUInt32LE(width, 12)
  h.writeBigUInt64LE(BigInt(tokens), 16)
  return h
}

/** Checks a shard's header against the file's size and returns its fields. */
export function readShardHeader(file: RegularFile): { width: TokenWidth; tokens: number } {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_DATASET', { path: file.name, problem })
  }
  if (file.size < SHARD_HEADER) refuse('it is shorter than a shard header')
  const h = Buffer.alloc(SHARD_HEADER)
  file.read(0, h)
  if (!h.subarray(0, 8).equals(MAGIC)) refuse('it does not begin with "VERITTOK"')
  const width = h.readUInt32LE(12)
  const tokens = h.readBigUInt64LE(16)
  if (h.readUInt32LE(8) !== VERSION || (width !== 2 && width !== 4) || h.readBigUInt64LE(24) !== 0n) {
    return refuse('its header is of an unknown version or width')
  }
  if (BigInt(file.size - SHARD_HEADER) !== tokens * BigInt(width))
    refuse(`its header says ${tokens} tokens, which is not its size`)
  return { width, tokens: Number(tokens) }
}

/** Size and digest of a file, in bounded memory. */
export function hashFile(path: string): { bytes: number; sha256: string } {
  const file = openRegular(path, 'a file of the dataset')
  try {
    return { bytes: file.size, sha256: hashOpen(file) }
  } finally {
    file.close()
  }
}

/** Digest of an open file, in bounded memory. */
export function hashOpen(file: RegularFile): string {
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(Math.min(BUFFER, file.size))
  for (let position = 0; position < file.size; position += buffer.length) {
    const block = buffer.subarray(0, Math.min(buffer.length, file.size - position))
    file.read(position, block)
    hash.update(block)
  }
  return `sha256:${hash.digest('hex')}`
}

/** Writes the shards of one split into a folder, a new one whenever one is full. */
export class ShardWriter {
  readonly records: ShardRecord[] = []
  tokens = 0
  #folder: string
  #split: SplitName
  #width: TokenWidth
  #capacity: number
  #buffer = Buffer.alloc(BUFFER)
  #buffered = 0
  #fd = -1
  #inShard = 0

  /** @param capacity most tokens in a shard. */
  constructor(folder: string, split: SplitName, width: TokenWidth, capacity: number) {
    this.#folder = folder
    this.#split = split
    this.#width = width
    this.#capacity = capacity
  }

  get #name(): string {
    return `${this.#split}-${String(this.records.length).padStart(5, '0')}.tokens`
  }

  /** Appends ids, each below 2^(8 width). */
  write(ids: ArrayLike<number>): void {
    for (let i = 0; i < ids.length; i++) {
      if (this.#inShard === this.#capacity) this.end()
      if (this.#fd < 0) this.#open()
      if (this.#width === 2) this.#buffer.writeUInt16LE(ids[i]!, this.#buffered)
      else this.#buffer.writeUInt32LE(ids[i]!, this.#buffered)
      this.#buffered += this.#width
      if (this.#buffered === BUFFER) this.#flush()
      this.#inShard++
    }
    this.tokens += ids.length
  }

  #open(): void {
    const path = join(this.#folder, this.#name)
    try {
      this.#fd = openSync(path, 'wx')
    } catch (e) {
      throw fileError(e, path, 'write')
    }
    this.#buffered = SHARD_HEADER // the header is written last, when the number of tokens is known
  }

  #flush(): void {
    this.#put(this.#buffer.subarray(0, this.#buffered), null)
    this.#buffered = 0
  }

  #put(bytes: Buffer, position: number | null): void {
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done, position === null ? null : position + done)
      }
    } catch (e) {
      throw fileError(e, join(this.#folder, this.#name), 'write')
    }
  }

  /** Completes the current shard, if one is open. */
  end(): void {
    if (this.#fd < 0) return
    this.#flush()
    this.#put(header(this.#width, this.#inShard), 0)
    fsyncSync(this.#fd)
    this.close()
    this.records.push({ file: this.#name, tokens: this.#inShard, ...hashFile(join(this.#folder, this.#name)) })
    this.#inShard = 0
  }

  /** Closes the descriptor without completing the shard; harmless when none is open. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }
}

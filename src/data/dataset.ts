/**
 * A prepared dataset, opened for reading: the manifest is checked, each shard is hashed against it when it is first
 * needed, and token ids are copied from any position. Small shards stay in memory; of larger ones only the bytes asked
 * for are read.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { invariant, VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { parseManifest } from './manifest.ts'
import type { Manifest, SplitRecord } from './manifest.ts'
import { hashFile, hashOpen, readShardHeader, SHARD_HEADER, tokenWidth } from './shards.ts'
import type { ShardRecord } from './shards.ts'
import type { SplitName } from './split.ts'

/** Shards up to this size are held in memory, up to this much a split. */
const IN_MEMORY = 1 << 28
const MAX_MANIFEST = 1 << 26

export interface OpenDatasetOptions {
  /** Check the SHA-256 of the tokenizer and of each shard when it is first used. Default true. */
  verify?: boolean
}

/** One side of the split: a sequence of token ids. */
export class DatasetSplit {
  readonly name: SplitName
  /** Tokens in all. */
  readonly length: number
  /** Counts of the manifest: documents, UTF-8 bytes (for bits per byte), characters, tokens. */
  readonly record: SplitRecord
  #shards: Shard[]
  #starts: number[] = []

  /** Made by `Dataset`. */
  constructor(name: SplitName, record: SplitRecord, folder: string, vocabSize: number, verify: boolean) {
    this.name = name
    this.record = record
    this.length = record.tokens
    let start = 0
    this.#shards = record.shards.map(r => {
      this.#starts.push(start)
      start += r.tokens
      return new Shard(join(folder, r.file), r, vocabSize, verify, record.tokens * tokenWidth(vocabSize) <= IN_MEMORY)
    })
  }

  /**
   * Copies `count` token ids from position `start` into `out` at `offset`.
   * @throws VERIT_DATASET if a shard does not match the manifest, or holds an id outside the vocabulary.
   */
  read(start: number, count: number, out: Int32Array, offset = 0): void {
    invariant(
      start >= 0 && count >= 0 && start + count <= this.length,
      `tokens ${start} to ${start + count} of ${this.length}`
    )
    invariant(offset >= 0 && offset + count <= out.length, `room for ${count} tokens at ${offset} of ${out.length}`)
    let low = 0
    for (let high = this.#starts.length; high - low > 1;) {
      const middle = (low + high) >> 1
      if (this.#starts[middle]! <= start) low = middle
      else high = middle
    }
    for (let i = low, done = 0; done < count; i++) {
      const shard = this.#shards[i]!
      const from = start + done - this.#starts[i]!
      const n = Math.min(count - done, shard.tokens - from)
      shard.read(from, n, out, offset + done)
      done += n
    }
  }

  /** Opens all files now, for a process that cannot open files later. They are checked when first read. */
  hold(): void {
    for (const shard of this.#shards) shard.hold()
  }

  /** Closes the files of this split. */
  close(): void {
    for (const shard of this.#shards) shard.close()
  }
}

class Shard {
  readonly tokens: number
  #path: string
  #record: ShardRecord
  #vocabSize: number
  #verify: boolean
  #keep: boolean
  /** Open, but not checked yet. */
  #held: RegularFile | undefined
  #file: RegularFile | undefined
  /** All ids, as bytes, when the shard is kept in memory. */
  #bytes: Buffer | undefined

  constructor(path: string, record: ShardRecord, vocabSize: number, verify: boolean, keep: boolean) {
    this.tokens = record.tokens
    this.#path = path
    this.#record = record
    this.#vocabSize = vocabSize
    this.#verify = verify
    this.#keep = keep
  }

  hold(): void {
    this.#held ??= openRegular(this.#path, 'a shard of the dataset')
  }

  #open(): RegularFile {
    this.hold()
    const file = this.#held!
    const refuse = (problem: string): never => {
      this.close()
      throw new VeritError('VERIT_DATASET', { path: this.#path, problem })
    }
    const header = readShardHeader(file)
    if (
      header.tokens !== this.tokens ||
      header.width !== tokenWidth(this.#vocabSize) ||
      file.size !== this.#record.bytes
    ) {
      refuse('its size or width is not what the manifest says')
    }
    if (this.#verify && hashOpen(file) !== this.#record.sha256) refuse('its SHA-256 is not that of the manifest')
    if (this.#keep) {
      this.#bytes = Buffer.alloc(file.size - SHARD_HEADER)
      file.read(SHARD_HEADER, this.#bytes)
    }
    return (this.#file = file)
  }

  read(start: number, count: number, out: Int32Array, offset: number): void {
    const file = this.#file ?? this.#open()
    const width = tokenWidth(this.#vocabSize)
    let bytes: Buffer
    if (this.#bytes) bytes = this.#bytes.subarray(start * width, (start + count) * width)
    else {
      bytes = Buffer.alloc(count * width)
      file.read(SHARD_HEADER + start * width, bytes)
    }
    for (let i = 0; i < count; i++) {
      const id = width === 2 ? bytes.readUInt16LE(2 * i) : bytes.readUInt32LE(4 * i)
      if (id >= this.#vocabSize) {
        throw new VeritError('VERIT_DATASET', {
          path: this.#path,
          problem: `token ${start + i} is ${id}, outside the vocabulary of ${this.#vocabSize}`
        })
      }
      out[offset + i] = id
    }
  }

  /** Closes the files of this split. */
  close(): void {
    this.#held?.close()
    this.#held = undefined
    this.#file = undefined
    this.#bytes = undefined
  }
}

/** A dataset of `verit prepare`, opened for reading. */
export class Dataset implements Disposable {
  readonly manifest: Manifest
  /** `sha256:...` of manifest.json: the dataset's identity. */
  readonly digest: string
  readonly vocabSize: number
  /** Path of tokenizer.json. */
  readonly tokenizerPath: string
  #splits: Record<SplitName, DatasetSplit>

  /** Use `openDataset`. */
  constructor(folder: string, text: Buffer, verify: boolean) {
    this.manifest = parseManifest(text.toString('utf8'), join(folder, 'manifest.json'))
    this.digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
    this.vocabSize = this.manifest.tokenizer.vocabSize
    this.tokenizerPath = join(folder, 'tokenizer.json')
    if (verify && hashFile(this.tokenizerPath).sha256 !== this.manifest.tokenizer.sha256) {
      throw new VeritError('VERIT_DATASET', {
        path: this.tokenizerPath,
        problem: 'its SHA-256 is not that of the manifest'
      })
    }
    const split = (name: SplitName): DatasetSplit =>
      new DatasetSplit(name, this.manifest.splits[name], folder, this.vocabSize, verify)
    this.#splits = { train: split('train'), validation: split('validation') }
  }

  /** One split of the dataset: `train` or `validation`. */
  split(name: SplitName): DatasetSplit {
    return this.#splits[name]
  }

  /** Closes the files. */
  close(): void {
    this.#splits.train.close()
    this.#splits.validation.close()
  }

  /** Closes all files. */
  [Symbol.dispose](): void {
    this.close()
  }
}

/** Opens the dataset in a folder that `prepare` made. */
export function openDataset(folder: string, options: OpenDatasetOptions = {}): Dataset {
  const path = join(folder, 'manifest.json')
  const file = openRegular(path, 'the manifest of a dataset')
  try {
    if (file.size > MAX_MANIFEST) throw new VeritError('VERIT_DATASET', { path, problem: 'it is larger than 64 MiB' })
    const text = file.readAll()
    return new Dataset(folder, text, options.verify ?? true)
  } finally {
    file.close()
  }
}

/** An open GGUF file: the checked header in memory, tensor data read on demand. Knows no model. */
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { RegularFile, bytesSource, openRegular } from '../lib/regular-file.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { parseGgufHeader } from './gguf-header.ts'
import type { GgufHeader } from './gguf-header.ts'
import type { GgufMetadata } from './gguf-metadata.ts'
import type { GgufTensor } from './gguf-tensor-list.ts'

/** An opened and checked GGUF file: metadata, and tensors by name. */
export class GgufFile implements GgufHeader, Disposable {
  /** The path, or the label of bytes in memory. */
  readonly name: string
  /** Bytes of the whole file. */
  readonly size: number
  readonly version: number
  readonly alignment: number
  readonly metadata: GgufMetadata
  /** In the order of the file's list. */
  readonly tensors: readonly GgufTensor[]
  readonly dataOffset: number
  readonly #source: ByteSource
  readonly #byName: ReadonlyMap<string, GgufTensor>
  /** The parts that follow the first one, by the tensors in them. */
  readonly #others = new Map<string, GgufFile>()
  readonly #parts: readonly GgufFile[]

  /** @param parts of a model in several files, all but the first in order, opened with `openPart` */
  constructor(source: ByteSource, parts: readonly GgufFile[] = [], part = parts.length > 0) {
    const header = parseGgufHeader(source, part)
    this.name = source.name
    this.size = source.size
    this.version = header.version
    this.alignment = header.alignment
    this.metadata = header.metadata
    this.tensors = [...header.tensors, ...parts.flatMap(one => one.tensors)]
    this.dataOffset = header.dataOffset
    this.#source = source
    this.#parts = parts
    for (const one of parts) for (const { name } of one.tensors) this.#others.set(name, one)
    this.#byName = new Map(this.tensors.map(t => [t.name, t]))
    if (parts.length > 0) this.#checkParts(parts)
  }

  /** Parts are numbered in order, have the same count, and no tensor twice. */
  #checkParts(parts: readonly GgufFile[]): void {
    for (const [i, { metadata }] of [this as GgufFile, ...parts].entries()) {
      const count = metadata.uint('split.count', 1)
      if (count !== parts.length + 1)
        metadata.refuse('split.count', `is ${count}, and there are ${parts.length + 1} parts`)
      const number = metadata.uint('split.no', 0)
      if (number !== i) metadata.refuse('split.no', `is ${number} in part ${i + 1}`)
    }
    const all = this.metadata.uint('split.tensors.count', this.tensors.length)
    if (all !== this.tensors.length || this.#byName.size !== this.tensors.length)
      this.metadata.refuse(
        'split.tensors.count',
        `is ${all}, and the parts have ${this.tensors.length} tensors of ${this.#byName.size} names`
      )
  }

  /**
   * The descriptor of a file opened by path or descriptor, for hashing the same bytes that were parsed; undefined for
   * bytes in memory.
   */
  get fd(): number | undefined {
    return this.#source instanceof RegularFile ? this.#source.fd : undefined
  }

  /** Whether the file has a tensor of this name. */
  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** The tensor of a name. @throws VeritError if there is none */
  tensor(name: string): GgufTensor {
    const tensor = this.#byName.get(name)
    if (tensor === undefined)
      throw new VeritError('VERIT_GGUF', {
        file: this.name,
        offset: this.dataOffset,
        problem: `there is no tensor ${printable(name)}`
      })
    return tensor
  }

  /**
   * The bytes of a tensor in their own aligned buffer, so that typed arrays can view them. A file whose length or
   * modification time has changed is an error.
   */
  readTensor(name: string): Uint8Array<ArrayBuffer> {
    const { offset, byteLength } = this.tensor(name)
    const bytes = allocate(byteLength, this.name, offset)
    this.readTensorPart(name, 0, bytes)
    return bytes
  }

  /** Fills `target` with the bytes of a tensor from its byte `from` on. These bytes must exist. */
  readTensorPart(name: string, from: number, target: Uint8Array): void {
    const other = this.#others.get(name)
    if (other !== undefined) return other.readTensorPart(name, from, target)
    const { offset, byteLength } = this.tensor(name)
    invariant(from >= 0 && from + target.length <= byteLength, `a part of tensor ${name} lies in it`)
    if (this.#source instanceof RegularFile) this.#source.checkUnchanged()
    this.#source.read(offset + from, target)
  }

  /** Closes the file, if it was opened by path. */
  close(): void {
    if (this.#source instanceof RegularFile) this.#source.close()
    for (const part of this.#parts) part.close()
  }

  /** Same as `close`. */
  [Symbol.dispose](): void {
    this.close()
  }
}

/** A sparse file can hold a tensor larger than memory: that is an error of the file, not a crash. */
function allocate(length: number, file: string, offset: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length)
  } catch (e) {
    throw new VeritError(
      'VERIT_GGUF',
      { file, offset, problem: `a tensor of ${length} bytes does not fit into memory` },
      e
    )
  }
}

function openSource(file: RegularFile): GgufFile {
  try {
    return new GgufFile(file)
  } catch (e) {
    file.close()
    throw e
  }
}

/** Opens a GGUF file by path. Anything but a regular file (or a link to one) is refused. Close it after use. */
export function openGguf(path: string): GgufFile {
  return openSource(openRegular(path, 'a GGUF model'))
}

/**
 * Reads through a descriptor that someone else opened (and hashed), and that stays theirs to close. `name` is for
 * errors.
 */
export function openGgufDescriptor(fd: number, name: string): GgufFile {
  return openSource(new RegularFile(fd, name, false))
}

/** Parses a GGUF file held in memory. `name` is for errors. */
export function parseGguf(bytes: Uint8Array, name = 'GGUF bytes'): GgufFile {
  return new GgufFile(bytesSource(bytes, name))
}

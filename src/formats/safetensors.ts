/** Reads and writes safetensors files: checkpoints, test fixtures, Hugging Face models. Knows no model. */
import { AtomicFile } from '../lib/atomic-file.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { RegularFile, bytesSource, openRegular } from '../lib/regular-file.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { parseSafetensorsHeader, safetensorsBytes, safetensorsDtypes } from './safetensors-header.ts'
import type { SafetensorsDtype, SafetensorsEntry, SafetensorsHeader } from './safetensors-header.ts'
import type { TensorFile } from './tensor-file.ts'

export interface SafetensorsTensor {
  dtype: SafetensorsDtype
  /** Row-major; empty for a scalar. */
  shape: readonly number[]
  /** Little-endian bytes, in their own buffer when read, so that `new Float32Array(data.buffer)` views them. */
  data: Uint8Array<ArrayBuffer>
}

export interface SafetensorsInput {
  dtype: SafetensorsDtype
  shape: readonly number[]
  /** A typed array of any kind whose bytes are the data, or a function that makes it when its turn comes. */
  data: ArrayBufferView | (() => ArrayBufferView)
}

/** An open file: the checked header in memory, tensors read on demand. */
export class SafetensorsFile implements SafetensorsHeader, TensorFile {
  readonly name: string
  readonly size: number
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>
  #source: ByteSource

  constructor(source: ByteSource) {
    const header = parseSafetensorsHeader(source)
    this.name = source.name
    this.size = source.size
    this.metadata = header.metadata
    this.tensors = header.tensors
    this.#source = source
  }

  /** The descriptor of a file opened by path, for hashing the same bytes that were parsed. */
  get fd(): number | undefined {
    return this.#source instanceof RegularFile ? this.#source.fd : undefined
  }

  /** The bytes of one tensor; an error if there is none of that name, or if the file has changed. */
  read(name: string): Uint8Array<ArrayBuffer> {
    const entry = this.#entry(name)
    if (this.#source instanceof RegularFile) this.#source.checkUnchanged()
    let bytes: Uint8Array<ArrayBuffer>
    try {
      bytes = new Uint8Array(entry.byteLength)
    } catch (e) {
      const problem = `a tensor of ${entry.byteLength} bytes does not fit into memory`
      throw new VeritError('VERIT_SAFETENSORS', { file: this.name, offset: entry.offset, problem }, e)
    }
    this.#source.read(entry.offset, bytes)
    return bytes
  }

  /** Bytes of a tensor from `from` on, as many as `target` has room for. */
  readPart(name: string, from: number, target: Uint8Array): void {
    const { offset, byteLength } = this.#entry(name)
    invariant(from >= 0 && from + target.length <= byteLength, `bytes ${from} of tensor ${name} are inside it`)
    if (this.#source instanceof RegularFile) this.#source.checkUnchanged()
    this.#source.read(offset + from, target)
  }

  #entry(name: string): SafetensorsEntry {
    const entry = this.tensors.get(name)
    if (entry !== undefined) return entry
    throw new VeritError('VERIT_SAFETENSORS', {
      file: this.name,
      offset: 8,
      problem: `there is no tensor ${printable(name)}`
    })
  }

  close(): void {
    if (this.#source instanceof RegularFile) this.#source.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** Opens a file by path; anything but a regular file is refused. Close it after use. */
export function openSafetensors(path: string): SafetensorsFile {
  const source = openRegular(path, 'a safetensors file')
  try {
    return new SafetensorsFile(source)
  } catch (e) {
    source.close()
    throw e
  }
}

/** Parses a file held in memory. `name` is for errors. */
export function parseSafetensors(bytes: Uint8Array, name = 'safetensors bytes'): SafetensorsFile {
  return new SafetensorsFile(bytesSource(bytes, name))
}

/** Reads a whole file. Tensors come in order of position. */
export function readSafetensors(path: string): {
  metadata: Readonly<Record<string, string>>
  tensors: Map<string, SafetensorsTensor>
} {
  using file = openSafetensors(path)
  const tensors = new Map<string, SafetensorsTensor>()
  for (const { name, dtype, shape } of file.tensors.values()) tensors.set(name, { dtype, shape, data: file.read(name) })
  return { metadata: file.metadata, tensors }
}

/**
 * Writes a file atomically, one tensor at a time; returns its size in bytes. The same content gives the same bytes,
 * whatever the order of the map: tensors stand by width of their element (widest first, so that each is aligned), then
 * by name; metadata by key.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsInput>,
  metadata: Readonly<Record<string, string>> = {}
): number {
  const names = inFileOrder(tensors)
  const { header, lengths } = encodeHeader(path, names, tensors, metadata)
  using file = new AtomicFile(path)
  file.write(header)
  names.forEach((name, i) => {
    const { data } = tensors.get(name)!
    const view = typeof data === 'function' ? data() : data
    invariant(
      view.byteLength === lengths[i],
      `tensor ${name} has ${view.byteLength} bytes; its dtype and shape need ${lengths[i]}`
    )
    file.write(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
  })
  file.commit()
  return file.position
}

export interface SafetensorsStream {
  dtype: SafetensorsDtype
  shape: readonly number[]
  /** The bytes, in pieces of any size. */
  pieces(): AsyncIterable<Uint8Array>
}

/** The same for tensors whose bytes take long to make. If making one throws, no file is left. */
export async function writeSafetensorsSlowly(
  path: string,
  tensors: ReadonlyMap<string, SafetensorsStream>,
  metadata: Readonly<Record<string, string>> = {}
): Promise<number> {
  const names = inFileOrder(tensors)
  const { header, lengths } = encodeHeader(path, names, tensors, metadata)
  using file = new AtomicFile(path)
  file.write(header)
  for (const [i, name] of names.entries()) {
    const begin = file.position
    for await (const piece of tensors.get(name)!.pieces()) file.write(piece)
    const written = file.position - begin
    invariant(written === lengths[i], `tensor ${name} has ${written} bytes; its dtype and shape need ${lengths[i]}`)
  }
  file.commit()
  return file.position
}

/** By width of an element, the widest first, so that each is aligned, then by name. */
const inFileOrder = (tensors: ReadonlyMap<string, { dtype: SafetensorsDtype }>): string[] =>
  [...tensors.keys()].sort(
    (a, b) => safetensorsDtypes[tensors.get(b)!.dtype] - safetensorsDtypes[tensors.get(a)!.dtype] || (a < b ? -1 : 1)
  )

function encodeHeader(
  path: string,
  names: readonly string[],
  tensors: ReadonlyMap<string, { dtype: SafetensorsDtype; shape: readonly number[] }>,
  metadata: Readonly<Record<string, string>>
): { header: Uint8Array; lengths: number[] } {
  const members: string[] = []
  const keys = Object.keys(metadata).sort()
  if (keys.length > 0)
    members.push(`"__metadata__":{${keys.map(k => `${JSON.stringify(k)}:${JSON.stringify(metadata[k])}`).join(',')}}`)
  const refuse = (problem: string, cause?: unknown): never => {
    throw new VeritError('VERIT_MODEL_WRITE', { file: path, problem }, cause)
  }
  let end = 0
  const lengths = names.map(name => {
    const { dtype, shape } = tensors.get(name)!
    if (!shape.every(n => Number.isSafeInteger(n) && n >= 0))
      refuse(`tensor ${name} has the shape [${shape.join(', ')}]`)
    const length =
      safetensorsBytes(dtype, shape) ?? refuse(`tensor ${name} with the shape [${shape.join(', ')}] is too large`)
    const offsets = `[${end},${end + length}]`
    members.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":${offsets}}`)
    end += length
    return length
  })
  const json = `{${members.join(',')}}`
  const length = Math.ceil(Buffer.byteLength(json) / 8) * 8
  const header = Buffer.alloc(8 + length, ' ')
  header.writeBigUInt64LE(BigInt(length))
  header.write(json, 8)
  try {
    // Verit can read every file that it writes.
    const size = header.length + end
    parseSafetensorsHeader({
      name: path,
      size,
      read: (position, target) => target.set(header.subarray(position, position + target.length))
    })
  } catch (e) {
    if (VeritError.is(e, 'VERIT_SAFETENSORS')) refuse(e.fields.problem, e)
    throw e
  }
  return { header, lengths }
}

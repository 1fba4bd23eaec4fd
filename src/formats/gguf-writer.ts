/**
 * Writes GGUF version 3: the same content gives the same bytes. Before the first byte reaches the disk the header is
 * parsed by our own reader, so that nothing is written that could not be read again.
 */
import { AtomicFile } from '../lib/atomic-file.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { checkGguf } from './gguf-header.ts'
import { ggufLimits } from './gguf-limits.ts'
import { align } from './gguf-tensor-list.ts'
import { ggufTensorSize, ggufTypes } from './gguf-types.ts'
import type { GgufTypeName } from './gguf-types.ts'
import { gguf, ggufValueTypes } from './gguf-value.ts'
import type { GgufElementType, GgufValue } from './gguf-value.ts'

export interface GgufTensorHead {
  /** At most 63 bytes. */
  name: string
  type: GgufTypeName
  /** Row-major, [out, in] for a weight matrix; 1 to 4 dimensions, each at least 1. */
  shape: readonly number[]
}

export interface GgufTensorInput extends GgufTensorHead {
  /**
   * The packed bytes, or a function that makes them when their turn comes, so that one tensor at a time is in memory.
   */
  data: Uint8Array | (() => Uint8Array)
}

/** A tensor whose bytes take long to make; the process does other work meanwhile. */
export interface GgufSlowTensor extends GgufTensorHead {
  data: () => Promise<Uint8Array>
}

export interface GgufContent<Tensor extends GgufTensorHead = GgufTensorInput> {
  /** Written in the order given. */
  metadata: ReadonlyMap<string, GgufValue> | readonly (readonly [string, GgufValue])[]
  /** Written in the order given. */
  tensors: readonly Tensor[]
  /**
   * Bytes to which tensors are aligned: a power of two, 8 to 65,536. Default 32. Recorded as general.alignment unless
   * 32.
   */
  alignment?: number
}

/**
 * Writes the file atomically: it appears whole or not at all. Returns its size in bytes. @param overwrite whether an
 * existing file is replaced; default true
 */
export function writeGguf(path: string, content: GgufContent, overwrite = true): number {
  using output = new Output(path, content, overwrite)
  for (const { data } of content.tensors) output.add(typeof data === 'function' ? data() : data)
  return output.commit()
}

/** The same for slow tensors. If making one throws, no file is left. */
export async function writeGgufSlowly(
  path: string,
  content: GgufContent<GgufSlowTensor>,
  overwrite = true
): Promise<number> {
  using output = new Output(path, content, overwrite)
  for (const { data } of content.tensors) output.add(await data())
  return output.commit()
}

/** A file that has its header, and gets its tensors in order. */
class Output implements Disposable {
  #file: AtomicFile
  #tensors: readonly GgufTensorHead[]
  #sizes: readonly number[]
  #alignment: number
  #added = 0

  constructor(path: string, content: GgufContent<GgufTensorHead>, overwrite: boolean) {
    const { header, sizes, alignment } = layout(path, content)
    this.#tensors = content.tensors
    this.#sizes = sizes
    this.#alignment = alignment
    this.#file = new AtomicFile(path, { overwrite })
    this.#file.write(header)
  }

  add(data: Uint8Array): void {
    const i = this.#added++
    invariant(
      data.length === this.#sizes[i],
      `tensor ${this.#tensors[i]?.name} has ${data.length} bytes; its type and shape need ${this.#sizes[i]}`
    )
    this.#file.write(data)
    this.#file.write(new Uint8Array(align(data.length, this.#alignment) - data.length))
  }

  /** @returns bytes of the file */
  commit(): number {
    this.#file.commit()
    return this.#file.position
  }

  [Symbol.dispose](): void {
    this.#file.abort()
  }
}

/** The header with its padding, and the byte length of each tensor. */
function layout(
  path: string,
  content: GgufContent<GgufTensorHead>
): { header: Uint8Array; sizes: number[]; alignment: number } {
  const alignment = content.alignment ?? 32
  const sizes = content.tensors.map(t => sizeOf(path, t))
  const bytes = encodeHeader(content, sizes, alignment)
  const header = new Uint8Array(align(bytes.length, alignment))
  header.set(bytes)
  const size = sizes.reduce((sum, n) => sum + align(n, alignment), header.length)
  try {
    checkGguf({
      name: path,
      size,
      read: (position, target) => target.set(header.subarray(position, position + target.length))
    })
  } catch (e) {
    if (VeritError.is(e, 'VERIT_GGUF'))
      throw new VeritError('VERIT_MODEL_WRITE', { file: path, problem: e.fields.problem }, e)
    throw e
  }
  return { header, sizes, alignment }
}

function sizeOf(path: string, t: GgufTensorHead): number {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_MODEL_WRITE', { file: path, problem: `tensor ${t.name}: ${problem}` })
  }
  if (Buffer.byteLength(t.name) > ggufLimits.writtenNameBytes)
    refuse(`its name is longer than ${ggufLimits.writtenNameBytes} bytes`)
  if (!t.shape.every(n => Number.isSafeInteger(n) && n > 0)) refuse(`its shape is [${t.shape.join(', ')}]`)
  const size = ggufTensorSize(t.type, t.shape.toReversed())
  return typeof size === 'string' ? refuse(size) : size.bytes
}

function encodeHeader(content: GgufContent<GgufTensorHead>, sizes: readonly number[], alignment: number): Buffer {
  const entries = [...content.metadata]
  if (alignment !== 32 && !entries.some(([key]) => key === 'general.alignment'))
    entries.push(['general.alignment', gguf.u32(alignment)])
  const out = new Bytes()
  out.u32(0x46554747)
  out.u32(3)
  out.u64(content.tensors.length)
  out.u64(entries.length)
  for (const [key, value] of entries) {
    out.string(key)
    encodeValue(out, value)
  }
  let offset = 0
  content.tensors.forEach((t, i) => {
    out.string(t.name)
    out.u32(t.shape.length)
    for (const n of t.shape.toReversed()) out.u64(n)
    out.u32(ggufTypes[t.type].id)
    out.u64(offset)
    offset += align(sizes[i]!, alignment)
  })
  return out.done()
}

function encodeValue(out: Bytes, v: GgufValue): void {
  out.u32(ggufValueTypes.indexOf(v.type))
  if (v.type !== 'array') return encodeElement(out, v.type, v.value)
  out.u32(ggufValueTypes.indexOf(v.of))
  out.u64(v.value.length)
  // numbers as the bytes they are (little-endian, as the reader insists): a NaN that passes through a JavaScript number
  // loses its payload
  if (ArrayBuffer.isView(v.value))
    return out.raw(new Uint8Array(v.value.buffer, v.value.byteOffset, v.value.byteLength))
  for (const element of v.value) encodeElement(out, v.of, element)
}

function encodeElement(out: Bytes, type: GgufElementType, value: string | boolean | number | bigint): void {
  if (type === 'string') out.string(value as string)
  else if (type === 'bool') out.scalar('u8', value ? 1 : 0)
  else out.scalar(type, value as number | bigint)
}

const WIDTHS = { u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, u64: 8, i64: 8, f64: 8 } as const
const SETTERS = {
  u8: 'setUint8',
  i8: 'setInt8',
  u16: 'setUint16',
  i16: 'setInt16',
  u32: 'setUint32',
  i32: 'setInt32',
  f32: 'setFloat32',
  f64: 'setFloat64',
  u64: 'setBigUint64',
  i64: 'setBigInt64'
} as const

/** A growing buffer of little-endian values. */
class Bytes {
  #buffer = Buffer.alloc(1 << 16)
  #length = 0

  scalar(type: keyof typeof WIDTHS, value: number | bigint): void {
    this.#room(WIDTHS[type])
    const view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset + this.#length)
    ;(view[SETTERS[type]] as (at: number, value: number | bigint, little: boolean) => void).call(view, 0, value, true)
    this.#length += WIDTHS[type]
  }

  u32(value: number): void {
    this.scalar('u32', value)
  }
  u64(value: number): void {
    this.scalar('u64', BigInt(value))
  }

  string(text: string): void {
    invariant(text.isWellFormed(), 'a string to be written is valid Unicode')
    const length = Buffer.byteLength(text)
    this.u64(length)
    this.#room(length)
    this.#length += this.#buffer.write(text, this.#length, 'utf8')
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  done(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #room(n: number): void {
    if (this.#length + n <= this.#buffer.length) return
    const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, this.#length + n))
    this.#buffer.copy(larger)
    this.#buffer = larger
  }
}

/**
 * The list of tensors of a GGUF file, in typed arrays until the file is accepted: read, then placed. The tensors must
 * lie inside the file, aligned, without overlap, and every byte of the file must belong to something.
 */
import { printable } from '../lib/printable.ts'
import type { GgufCursor } from './gguf-cursor.ts'
import { readName } from './gguf-entries.ts'
import { ggufLimits } from './gguf-limits.ts'
import { ggufTensorSize, ggufTypeName, ggufTypes } from './gguf-types.ts'
import type { GgufTypeName } from './gguf-types.ts'
import { NameSet } from './name-set.ts'

/**
 * Name, type, shape and position of a tensor in a GGUF file. Shapes list the fastest dimension first, as the file does.
 */
export interface GgufTensor {
  readonly name: string
  readonly type: GgufTypeName
  /** Dimensions in ggml's order, the contiguous one first: [in, out] for a weight matrix. */
  readonly ne: readonly number[]
  /** The same dimensions row-major: [out, in]. */
  readonly shape: readonly number[]
  readonly elements: number
  /** Position of the first byte in the file. */
  readonly offset: number
  readonly byteLength: number
}

export const align = (n: number, alignment: number): number => Math.ceil(n / alignment) * alignment

/** Maximum number of tensors beyond the end of a truncated file that are named. */
const NAMED = 3

/** Bytes of a tensor whose size or position is unknown because of a fault. */
const NONE = -1

export class TensorList {
  readonly count: number
  #names: NameSet
  /** Position of each entry in the file, for errors. */
  #entries: Uint32Array
  #dimensions: Uint8Array
  /** Four for each tensor, in ggml's order. */
  #ne: Float64Array
  #types: Uint8Array
  #bytes: Float64Array
  /** Offsets from the start of the data; those of 2^53 and more are rounded. */
  #relative: Float64Array
  /** Where each offset stands, to tell it exactly. */
  #offsets: Uint32Array

  /** Reads `count` entries. */
  constructor(c: GgufCursor, count: number) {
    this.count = count
    this.#names = new NameSet(count, ggufLimits.nameBytes)
    this.#entries = new Uint32Array(count)
    this.#dimensions = new Uint8Array(count)
    this.#ne = new Float64Array(count * ggufLimits.dimensions)
    this.#types = new Uint8Array(count)
    this.#bytes = new Float64Array(count)
    this.#relative = new Float64Array(count)
    this.#offsets = new Uint32Array(count)
    for (let i = 0; i < count; i++) this.#read(c, i)
  }

  /**
   * Checks that every tensor lies in the file, begins at a multiple of the alignment, and, in order of position, where
   * the one before it ends, padded.
   * @param size of the file in bytes
   */
  place(c: GgufCursor, dataOffset: number, alignment: number, size: number): void {
    // a tensor without a size or outside the file: the content of the gaps is unknown
    let closed = !this.#bytes.includes(NONE)
    let outside = 0
    const whole = closed ? this.#wholeSize(dataOffset, alignment) : undefined
    const cut = whole !== undefined && whole > size
    if (cut) c.flag(`the file is cut: it has ${size} of ${whole} bytes`, size)
    for (let i = 0; i < this.count; i++) {
      if (this.#bytes[i] === NONE) continue
      const relative = this.#relative[i]!
      const bytes = this.#bytes[i]!
      const beyond =
        relative <= Number.MAX_SAFE_INTEGER
          ? relative % alignment
          : Number(c.exactly(this.#offsets[i]!) % BigInt(alignment))
      if (beyond !== 0) {
        c.flag(
          `tensor ${this.#shown(i)} has the offset ${c.exactly(this.#offsets[i]!)}, not a multiple of ${alignment}`,
          this.#entries[i]
        )
      }
      if (dataOffset + relative + bytes <= size) continue
      const offset = c.exactly(this.#offsets[i]!)
      if (!cut || ++outside <= NAMED)
        c.flag(
          `tensor ${this.#shown(i)} has ${bytes} bytes at offset ${offset}, beyond the end of the file at ${size}`,
          this.#entries[i]
        )
      this.#bytes[i] = NONE
      closed = false
    }
    if (outside > NAMED) c.flag(`${outside - NAMED} more tensors end beyond it`, size)
    let expected = 0
    for (const i of this.#inOrder()) {
      if (this.#bytes[i] === NONE) continue
      const offset = this.#relative[i]!
      if (offset < expected) c.flag(`tensor ${this.#shown(i)} overlaps another one`, this.#entries[i])
      if (offset > expected && closed)
        c.flag(`${offset - expected} bytes before tensor ${this.#shown(i)} belong to no tensor`, this.#entries[i])
      expected = Math.max(expected, offset + align(this.#bytes[i]!, alignment))
    }
    const padded = dataOffset + expected
    if (size > padded && closed) c.flag(`${size - padded} bytes after the last tensor belong to nothing`, padded)
  }

  /** The tensors of an admitted file, in the order of the list. */
  tensors(dataOffset: number): GgufTensor[] {
    return Array.from({ length: this.count }, (_, i) => {
      const ne = [...this.#ne.subarray(i * ggufLimits.dimensions, i * ggufLimits.dimensions + this.#dimensions[i]!)]
      return {
        name: this.#names.text(i),
        type: ggufTypeName(this.#types[i]!)!,
        ne,
        shape: ne.toReversed(),
        elements: ne.reduce((product, n) => product * n, 1),
        byteLength: this.#bytes[i]!,
        offset: dataOffset + this.#relative[i]!
      }
    })
  }

  /** Bytes of a file with these tensors, all of known size; undefined if there are none or they are not contiguous. */
  #wholeSize(dataOffset: number, alignment: number): number | undefined {
    let end = 0
    for (const i of this.#inOrder()) {
      if (this.#relative[i] !== align(end, alignment)) return undefined
      end = this.#relative[i]! + this.#bytes[i]!
    }
    return end > 0 && dataOffset + end <= ggufLimits.fileBytes ? dataOffset + end : undefined
  }

  #read(c: GgufCursor, i: number): void {
    const entry = c.at
    if (!this.#names.add(readName(c, () => `the name of tensor ${i}`, ggufLimits.nameBytes)))
      c.flag(`the tensor ${this.#shown(i)} appears twice`, entry)
    const dimensions = c.u32()
    if (dimensions < 1 || dimensions > ggufLimits.dimensions)
      c.fail(`tensor ${this.#shown(i)} has ${dimensions} dimensions; 1 to 4 are allowed`, entry)
    const ne: number[] = []
    for (let d = 0; d < dimensions; d++) {
      const n = c.uint()
      if (n === 0 || n > Number.MAX_SAFE_INTEGER)
        c.flag(`tensor ${this.#shown(i)} has a dimension of ${c.exactly(c.at - 8)}`, c.at - 8)
      else ne.push(n)
    }
    const id = c.u32()
    const type = ggufTypeName(id)
    if (type === undefined)
      c.flag(`tensor ${this.#shown(i)} has type number ${id}, which Verit does not support`, c.at - 4)
    const size = type !== undefined && ne.length === dimensions ? ggufTensorSize(type, ne) : undefined
    if (typeof size === 'string') c.flag(`tensor ${this.#shown(i)}: ${size}`, entry)
    this.#offsets[i] = c.at
    this.#relative[i] = c.uint()
    this.#entries[i] = entry
    this.#bytes[i] = typeof size === 'object' ? size.bytes : NONE
    if (typeof size !== 'object') return
    this.#types[i] = ggufTypes[type!].id
    this.#dimensions[i] = dimensions
    this.#ne.set(ne, i * ggufLimits.dimensions)
  }

  #shown(i: number): string {
    return printable(this.#names.text(i))
  }

  /** Indices by position; unchanged if already in order. */
  #inOrder(): Uint32Array {
    const relative = this.#relative
    const order = Uint32Array.from({ length: this.count }, (_, i) => i)
    return relative.every((n, i) => i === 0 || relative[i - 1]! <= n)
      ? order
      : order.sort((a, b) => relative[a]! - relative[b]! || a - b)
  }
}

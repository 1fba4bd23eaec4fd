/**
 * The tensors of a Hugging Face folder by the parameters of a model: which tensors hold a parameter, and its rows.
 * Reads as little as it can, because tables may be larger than memory allows twice.
 */
import type { HfFormat, HfPart } from '../arch/architecture.ts'
import type { TensorEntry, TensorFile } from '../formats/tensor-file.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { isTernary } from './parameters.ts'
import type { Parameter } from './parameters.ts'

export class HfTensors implements Disposable {
  readonly #folder: string
  readonly #files: readonly TensorFile[]
  readonly #where = new Map<string, TensorFile>()
  readonly #parts = new Map<string, readonly HfPart[]>()
  /** The parameter whose tensor was read as a whole last. */
  #latest: { name: string; bytes: Uint8Array<ArrayBuffer> } | undefined

  /** @throws VeritError VERIT_MODEL_FILE for a tensor that two files have */
  constructor(folder: string, files: readonly TensorFile[]) {
    this.#folder = folder
    this.#files = files
    for (const file of files) {
      for (const tensor of file.tensors.keys()) {
        if (this.#where.has(tensor)) this.#refuse(`two of its files have a tensor ${printable(tensor)}`)
        this.#where.set(tensor, file)
      }
    }
  }

  has(tensor: string): boolean {
    return this.#where.has(tensor)
  }

  /**
   * Finds the tensors of every parameter.
   * @throws VeritError VERIT_MODEL_FILE, VERIT_TENSOR for a tensor that is missing, of another shape, or left over
   */
  match(parameters: readonly Parameter[], format: HfFormat): void {
    const used = new Set<string>()
    for (const p of parameters) {
      const layouts = format.layouts(p)
      const parts =
        layouts.find(layout => layout.every(part => this.has(part.name))) ?? this.#missing(layouts[0]!, layouts)
      this.#parts.set(p.name, parts)
      for (const part of parts) {
        this.#checkShape(p, part)
        used.add(part.name)
      }
      if (isTernary(p)) used.add(this.scaleName(p))
    }
    for (const name of this.#where.keys()) {
      const known = used.has(name) || name.endsWith('.rotary_emb.inv_freq') || format.ignored?.test(name) === true
      if (!known) this.#refuse(`it has a tensor ${printable(name, 80)}, which such a model does not have`)
    }
  }

  /** The only tensor of a ternary parameter, and the first one of others. */
  entry(p: Parameter): TensorEntry {
    return this.entryOf(this.name(p))
  }

  entryOf(tensor: string): TensorEntry {
    return this.#where.get(tensor)!.tensors.get(tensor)!
  }

  name(p: Parameter): string {
    return this.#parts.get(p.name)![0]!.name
  }

  /** The tensor with the scale of a packed ternary parameter. */
  scaleName(p: Parameter): string {
    return this.name(p).replace(/weight$/, 'weight_scale')
  }

  read(tensor: string): Uint8Array<ArrayBuffer> {
    return this.#where.get(tensor)!.read(tensor)
  }

  /**
   * Rows of a parameter as they are stored.
   * @param order where each row goes; undefined: in their own order
   */
  rows(
    p: Parameter,
    from: number,
    count: number,
    reorder?: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array
  ): Uint8Array {
    const parts = this.#parts.get(p.name)!
    const whole = reorder !== undefined || parts.some(part => part.transposed === true)
    if (!whole) return this.#partial(p, parts, from, count)
    if (this.#latest?.name !== p.name) {
      const part = parts[0]!
      const bytes = this.read(part.name)
      const straight = part.transposed === true ? transpose(bytes, part.shape as [number, number]) : bytes
      this.#latest = { name: p.name, bytes: new Uint8Array(reorder?.(straight) ?? straight) }
    }
    const { bytes } = this.#latest
    const row = bytes.length / rowsOf(p.shape)
    return bytes.subarray(from * row, (from + count) * row)
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file[Symbol.dispose]()
  }

  #partial(p: Parameter, parts: readonly HfPart[], from: number, count: number): Uint8Array {
    const row = rowBytes(this.entry(p), parts[0]!)
    const bytes = new Uint8Array(count * row)
    let first = 0
    for (const part of parts) {
      const rows = part.rows ?? rowsOf(part.shape)
      const begin = Math.max(from, first)
      const end = Math.min(from + count, first + rows)
      if (begin < end) {
        const target = bytes.subarray((begin - from) * row, (end - from) * row)
        this.#where.get(part.name)!.readPart(part.name, ((part.from ?? 0) + begin - first) * row, target)
      }
      first += rows
    }
    invariant(first === rowsOf(p.shape), `the parts of ${p.name} have all its rows`)
    return bytes
  }

  #checkShape(p: Parameter, part: HfPart): void {
    const { dtype, shape } = this.entryOf(part.name)
    const packed = dtype === 'U8'
    if (packed && !isTernary(p)) this.wrong(part.name, 'is packed, where floating-point numbers are expected')
    const wanted = packed ? [part.shape[0]! / 4, ...part.shape.slice(1)] : part.shape
    if (shape.join() !== wanted.join())
      this.wrong(part.name, `is ${shape.join(' x ')}, where ${wanted.join(' x ')} is expected`)
    if (packed && !this.has(this.scaleName(p))) this.#refuse(`there is no tensor ${this.scaleName(p)}`)
    if (dtype !== this.entry(p).dtype)
      this.wrong(part.name, `is of type ${dtype}, where the others are ${this.entry(p).dtype}`)
  }

  #missing(layout: readonly HfPart[], layouts: readonly (readonly HfPart[])[]): never {
    // Of several layouts, the one that is there in part tells more.
    const begun = layouts.find(one => one.some(part => this.has(part.name))) ?? layout
    return this.#refuse(`there is no tensor ${begun.find(part => !this.has(part.name))!.name}`)
  }

  #refuse(problem: string): never {
    throw new VeritError('VERIT_MODEL_FILE', { file: this.#folder, problem })
  }

  wrong(tensor: string, problem: string): never {
    throw new VeritError('VERIT_TENSOR', { tensor, problem: `it ${problem}` })
  }
}

/** Rows of a tensor: all dimensions but the last. A vector has one row per element. */
const rowsOf = (shape: readonly number[]): number =>
  shape.length === 1 ? shape[0]! : shape.slice(0, -1).reduce((a, b) => a * b, 1)

const rowBytes = ({ byteLength }: TensorEntry, { shape }: HfPart): number => byteLength / rowsOf(shape)

/** A matrix [rows, columns] of elements of any size, turned. */
function transpose(bytes: Uint8Array, [rows, columns]: readonly [number, number]): Uint8Array<ArrayBuffer> {
  const size = bytes.length / (rows * columns)
  const turned = new Uint8Array(bytes.length)
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      for (let b = 0; b < size; b++) turned[(c * rows + r) * size + b] = bytes[(r * columns + c) * size + b]!
  return turned
}

/**
 * The tensors of a converted file: chooses the format of each, encodes it slice by slice, and records the error. One
 * tensor at a time is in memory.
 */
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { VeritError } from '../lib/errors.ts'
import { f16Bits, f16Value, f32ToF16 } from '../lib/half.ts'
import type { EncodePool } from '../weights/encode-pool.ts'
import { isWeightType, weightType } from '../weights/registry.ts'
import type { TernaryTypeName, WeightTypeName } from '../weights/registry.ts'
import { encodeTernary } from '../weights/ternary-tensor.ts'
import type { MixName } from '../weights/type-mix.ts'
import { ggufName } from './gguf-config.ts'
import type { ModelSource } from './model-source.ts'
import { elementsOf, isTernary } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { fileRows, placeRows } from './row-order.ts'
import { typesOfMix } from './types-of-mix.ts'

/** Formats asked for. Absent: unchanged. */
export interface TensorTypes {
  readonly ternary: TernaryTypeName
  /** Of all matrices that are not ternary, unless `head` or `matrices` says otherwise. */
  readonly mix?: MixName
  readonly head?: WeightTypeName
  readonly matrices?: WeightTypeName
  /** Ternary rows that are not whole blocks become F16, because the program reads no I2_S. */
  readonly for?: 'llama.cpp'
}

/** How one tensor was written. */
export interface TensorReport {
  /** GGUF name. */
  readonly name: string
  readonly from: string
  readonly to: string
  /** Root mean square of the differences divided by that of the values; 0 if every value is unchanged. */
  readonly relative: number
}

/** Sums over all values of a group of tensors: squares of the differences, and of the values. */
interface Difference {
  readonly group: string
  readonly from: string
  readonly to: string
  difference: number
  square: number
}

/** Precision lost by a change of formats. */
export interface PrecisionLoss {
  /** Tensors concerned: one table, the matrices of one format, or all ternary matrices. */
  readonly tensors: string
  readonly from: string
  readonly to: string
  /**
   * For matrices, the root mean square of the differences divided by that of the values. For ternary matrices, the
   * largest relative change of a scale.
   */
  readonly relative: number
}

/** Weights of a matrix that are encoded at a time, about. */
const SLICE = 1 << 20

const isTable = (p: Parameter): boolean => p.name === 'token_embedding' || p.name === 'head.weight'

export class TensorEncoder {
  #source: ModelSource
  #path: string
  #types: TensorTypes
  #pool: EncodePool
  #mixed: ((p: Parameter) => WeightTypeName) | undefined
  #differences = new Map<string, Difference>()
  #scales = 0
  /** In the order in which they were written. */
  readonly reports: TensorReport[] = []

  /** @param path of the file to write, for errors */
  constructor(source: ModelSource, path: string, types: TensorTypes, pool: EncodePool) {
    this.#source = source
    this.#path = path
    this.#types = types
    this.#pool = pool
    this.#mixed = types.mix === undefined ? undefined : typesOfMix(source.config, types.mix)
  }

  losses(): PrecisionLoss[] {
    const losses = [...this.#differences.values()].map(({ group, from, to, difference, square }) => ({
      tensors: group,
      from,
      to,
      relative: Math.sqrt(difference / square)
    }))
    return this.#scales === 0
      ? losses
      : [...losses, { tensors: 'scales of the ternary matrices', from: 'F32', to: 'F16', relative: this.#scales }]
  }

  /**
   * The format of a parameter in the file. Vectors stay exact.
   * @throws VeritError VERIT_MODEL_WRITE if rows are not whole blocks
   */
  typeOf(p: Parameter): GgufTypeName {
    const type = isTernary(p) ? this.#ternaryType(p) : this.#floatType(p)
    const { block } = ggufTypes[type]
    const unit = type === 'I2_S' ? elementsOf(p) : p.shape.at(-1)!
    if (p.shape.length > 1 && unit % block !== 0) {
      this.#refuse(
        `${type} packs ${block} weights a block, which does not divide ` +
          `the ${type === 'I2_S' ? '' : 'rows of '}${unit} weights of ${this.#nameOf(p)}`
      )
    }
    return type
  }

  /** @param onWeights called with the number of weights that are done, and waited for */
  async data(p: Parameter, type: GgufTypeName, onWeights: (done: number) => Promise<void>): Promise<Uint8Array> {
    if (isTernary(p)) return this.#packTernary(p)
    if (p.shape.length > 1) return await this.#matrix(p, type as WeightTypeName, onWeights)
    this.#report(p, this.#source.typeOf(p) ?? 'F32', type, 0, 1)
    return bytesOf(this.#source.floats(p, 0, p.shape[0]!))
  }

  #nameOf(p: Parameter): string {
    return ggufName(this.#source.config, p.name)
  }

  #ternaryType(p: Parameter): TernaryTypeName | 'F16' {
    const { ternary, for: program } = this.#types
    return program !== undefined && p.shape[1]! % ggufTypes[ternary].block !== 0 ? 'F16' : ternary
  }

  #floatType(p: Parameter): GgufTypeName {
    if (p.shape.length === 1) return 'F32'
    const { head, matrices } = this.#types
    const asked = isTable(p) ? head : matrices
    if (asked !== undefined && p.whole !== true) return asked
    if (this.#mixed !== undefined) return this.#mixed(p)
    const stored = this.#source.typeOf(p)
    // Tables are copied row by row, which the tail of I2_S does not allow.
    return stored !== undefined && isWeightType(stored) && weightType(stored).tail === 0 ? stored : 'F32'
  }

  #packTernary(p: Parameter): Uint8Array {
    const { config } = this.#source
    const { trits, scale } = this.#source.ternary(p)
    const order = fileRows(config, p.name)
    const name = this.#nameOf(p)
    const type = this.#ternaryType(p)
    const rows = order === undefined ? trits : placeRows(trits, order, p.shape[1]!)
    let relative = 0
    if (type !== 'I2_S') {
      const half = f16Value(f16Bits(scale))
      if (!(half > 0 && half < Infinity))
        this.#refuse(`the scale ${scale} of ${name} is beyond the range of binary16; I2_S can hold it`)
      relative = Math.abs(half - scale) / scale
      this.#scales = Math.max(this.#scales, relative)
    }
    this.reports.push({ name, from: this.#source.typeOf(p) ?? 'ternary', to: type, relative })
    return type === 'F16'
      ? bytesOf(f32ToF16(Float32Array.from(rows, t => t * scale)))
      : encodeTernary(type, rows, Float32Array.of(scale))
  }

  async #matrix(p: Parameter, type: WeightTypeName, onWeights: (done: number) => Promise<void>): Promise<Uint8Array> {
    const inputs = p.shape.at(-1)!
    const out = elementsOf(p) / inputs
    const stored = this.#source.typeOf(p)
    const name = this.#nameOf(p)
    const { block, bytes } = ggufTypes[type]
    const row = (inputs / block) * bytes
    const data = new Uint8Array(out * row)
    const most = Math.max(1, Math.floor(SLICE / inputs))
    let difference = 0
    let square = 0
    const waiting: Promise<void>[] = []
    for (let from = 0; from < out; from += most) {
      const rows = Math.min(most, out - from)
      const part = data.subarray(from * row, (from + rows) * row)
      const end = from + rows
      if (stored === type) {
        part.set(this.#source.rows(p, from, rows))
        await onWeights(end * inputs)
        continue
      }
      const values = owned(this.#source.floats(p, from, rows))
      const encoded = this.#pool.encode({ type, values }, name).then(async slice => {
        part.set(slice.bytes)
        difference += slice.difference
        square += slice.square
        await onWeights(end * inputs)
      })
      encoded.catch(() => {}) // reported when it is awaited
      waiting.push(encoded)
      if (waiting.length >= this.#pool.depth) await waiting.shift()
    }
    await Promise.all(waiting)
    this.#report(p, stored ?? 'F32', type, difference, square)
    return data
  }

  #report(p: Parameter, from: string, to: string, difference: number, square: number): void {
    const name = this.#nameOf(p)
    this.reports.push({ name, from, to, relative: difference === 0 ? 0 : Math.sqrt(difference / square) })
    if (difference === 0) return
    const group = isTable(p) ? name : 'matrices of the layers'
    const key = `${group} ${from} ${to}`
    const sum = this.#differences.get(key)
    if (sum === undefined) this.#differences.set(key, { group, from, to, difference, square })
    else {
      sum.difference += difference
      sum.square += square
    }
  }

  #refuse(problem: string): never {
    throw new VeritError('VERIT_MODEL_WRITE', { file: this.#path, problem })
  }
}

/** Values in a buffer of their own, which can be moved to a thread. */
function owned(values: Float32Array): Float32Array<ArrayBuffer> {
  const { buffer } = values
  return buffer instanceof ArrayBuffer && buffer.byteLength === values.byteLength
    ? new Float32Array(buffer)
    : new Float32Array(values)
}

const bytesOf = (a: Float32Array | Uint16Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)

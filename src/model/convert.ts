/**
 * Writes a model with other types: ternary matrices as I2_S, TQ1_0 or TQ2_0, embedding and head as F32, F16, Q8_0 or Q6_K, one tensor at a time, and says what precision that cost.
 */
import { setImmediate } from 'node:timers/promises'
import type { GgufContent, GgufSlowTensor } from '../formats/gguf-writer.ts'
import { writeGgufSlowly } from '../formats/gguf-writer.ts'
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { encodeWeights } from '../formats/quants-write.ts'
import { decodeWeights } from '../formats/quants.ts'
import type { WeightType } from '../formats/quants.ts'
import { encodeTernary } from '../formats/ternary.ts'
import type { TernaryType } from '../formats/ternary.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { f16Bits, f16Value, f32ToF16 } from '../lib/half.ts'
import { architectureOf, configEntries } from './gguf-config.ts'
import { ggufName } from './gguf-names.ts'
import type { ModelSource } from './model-source.ts'
import { elementsOf, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { isWeightType } from './read-tensor.ts'
import { fileRows, placeRows } from './row-order.ts'

export type HeadType = 'F32' | 'F16' | 'Q8_0' | 'Q6_K'

export interface ConvertOptions {
  /** Default I2_S, which keeps every scale to the bit. */
  readonly ternary?: TernaryType
  /** Of the token embedding, and of a head of its own. Default: what they are stored in. */
  readonly head?: HeadType
  /** Whether an existing file is replaced. Default false. */
  readonly overwrite?: boolean
  /** Told the weights that are written, and of how many. */
  readonly onProgress?: (done: number, of: number) => void
  /** Once it is aborted, its reason is thrown, and nothing is left of the file. */
  readonly signal?: AbortSignal
}

/** What a change of types cost. */
export interface PrecisionLoss {
  /** Tensors concerned: one table, or all ternary matrices. */
  readonly tensors: string
  readonly from: string
  readonly to: string
  /** Of a table: the root mean square of the differences over that of the values. Of ternary matrices: the largest relative change of a scale. */
  readonly relative: number
}

export interface Conversion {
  readonly bytes: number
  readonly tensors: number
  readonly architecture: string
  /** In the order of the tensors; empty where every number is what it was. */
  readonly losses: readonly PrecisionLoss[]
}

/** llama.cpp's numbers of what most tensors are stored as (`general.file_type`); F32 of a model without ternary matrices. */
const FILE_TYPES = { I2_S: 40, TQ1_0: 36, TQ2_0: 37 } as const

/** Weights of a table that are worked on at a time, about. */
const SLICE = 1 << 20

/**
 * Other things of this process, such as the handlers of signals, have their turn every SLICE of a table and after every tensor.
 * @throws VeritError VERIT_FILE_EXISTS, VERIT_MODEL_WRITE for a matrix that the type cannot hold, VERIT_TENSOR for values that are not as they have to be
 */
export async function convertModel(source: ModelSource, path: string, options: ConvertOptions = {}): Promise<Conversion> {
  const { config } = source, { ternary = 'I2_S', overwrite = false } = options, parameters = parametersOf(config), architecture = architectureOf(config)
  const writer = new Writer(source, path, ternary, options.head)
  const total = parameters.reduce((n, p) => n + elementsOf(p), 0)
  let before = 0
  const progress = async (done: number): Promise<void> => {
    options.onProgress?.(done, total)
    await setImmediate()
    options.signal?.throwIfAborted()
  }
  const tensors = parameters.map((p): GgufSlowTensor => {
    const type = writer.typeOf(p)
    return {
      name: ggufName(config.kind, p.name), shape: p.shape, type,
      data: async () => {
        const data = await writer.data(p, type, within => progress(before + within))
        await progress(before += elementsOf(p))
        return data
      },
    }
  })
  const metadata: GgufContent['metadata'] = [
    ['general.architecture', gguf.string(architecture)],
    ['general.file_type', gguf.u32(config.kind === 'bitnet' ? FILE_TYPES[ternary] : 0)],
    ['general.quantization_version', gguf.u32(2)],
    ...configEntries(config), ...source.entries as readonly (readonly [string, GgufValue])[],
  ]
  const bytes = await writeGgufSlowly(path, { metadata, tensors }, overwrite)
  return { bytes, tensors: tensors.length, architecture, losses: writer.losses() }
}

const isTable = (p: Parameter): boolean => p.name === 'token_embedding' || p.name === 'head.weight'

/** Makes the bytes of tensors, and keeps account of what they lose. */
class Writer {
  #source: ModelSource
  #path: string
  #ternary: TernaryType
  #head: HeadType | undefined
  #tables: PrecisionLoss[] = []
  #scales = 0

  constructor(source: ModelSource, path: string, ternary: TernaryType, head: HeadType | undefined) {
    this.#source = source
    this.#path = path
    this.#ternary = ternary
    this.#head = head
  }

  losses(): PrecisionLoss[] {
    return this.#scales === 0 ? this.#tables : [...this.#tables, { tensors: 'scales of the ternary matrices', from: 'F32', to: 'F16', relative: this.#scales }]
  }

  /** Vectors become F32, what is no table and not ternary stays. */
  typeOf(p: Parameter): GgufTypeName {
    const stored = this.#source.typeOf(p), name = ggufName(this.#source.config.kind, p.name)
    const type = p.ternary ? this.#ternary : p.shape.length === 1 ? 'F32' : isTable(p) && this.#head !== undefined ? this.#head : stored !== undefined && isWeightType(stored) ? stored : 'F32'
    const { block } = ggufTypes[type], [out = 1, inputs = 1] = p.shape, unit = type === 'I2_S' ? out * inputs : inputs
    if (p.shape.length > 1 && unit % block !== 0) {
      this.#refuse(`${type} packs ${block} weights a block, which does not divide the ${type === 'I2_S' ? '' : 'rows of '}${unit} weights of ${name}`)
    }
    return type
  }

  /** @param onWeights called with the number of weights that are done, and waited for */
  async data(p: Parameter, type: GgufTypeName, onWeights: (done: number) => Promise<void>): Promise<Uint8Array> {
    if (p.ternary) return this.#packTernary(p)
    return p.shape.length === 1 ? bytesOf(this.#source.floats(p, 0, p.shape[0]!)) : this.#matrix(p, type as WeightType, onWeights)
  }

  #packTernary(p: Parameter): Uint8Array {
    const { config } = this.#source, { trits, scale } = this.#source.ternary(p), order = fileRows(config, p.name), name = ggufName(config.kind, p.name)
    const rows = order === undefined ? trits : placeRows(trits, order, p.shape[1]!)
    if (this.#ternary !== 'I2_S') {
      const half = f16Value(f16Bits(scale))
      if (!(half > 0 && half < Infinity)) this.#refuse(`the scale ${scale} of ${name} is beyond the range of binary16; I2_S can hold it`)
      this.#scales = Math.max(this.#scales, Math.abs(half - scale) / scale)
    }
    return encodeTernary(this.#ternary, rows, Float32Array.of(scale))
  }

  async #matrix(p: Parameter, type: WeightType, onWeights: (done: number) => Promise<void>): Promise<Uint8Array> {
    const [out, inputs] = p.shape as [number, number], stored = this.#source.typeOf(p), name = ggufName(this.#source.config.kind, p.name)
    const { block, bytes } = ggufTypes[type], row = (inputs / block) * bytes, data = new Uint8Array(out * row), most = Math.max(1, Math.floor(SLICE / inputs))
    let difference = 0, square = 0
    for (let from = 0; from < out; from += most) {
      const rows = Math.min(most, out - from), values = this.#source.floats(p, from, rows), part = data.subarray(from * row, (from + rows) * row)
      if (stored === type) part.set(this.#source.rows(p, from, rows))
      else {
        part.set(encode(type, values, name))
        const kept = decodeWeights(type, part, new Float32Array(values.length), name)
        for (let i = 0; i < values.length; i++) {
          difference += (kept[i]! - values[i]!) ** 2
          square += values[i]! ** 2
        }
      }
      await onWeights((from + rows) * inputs)
    }
    if (difference > 0) this.#tables.push({ tensors: name, from: stored ?? 'F32', to: type, relative: Math.sqrt(difference / square) })
    return data
  }

  #refuse(problem: string): never {
    throw new VeritError('VERIT_MODEL_WRITE', { file: this.#path, problem })
  }
}

const bytesOf = (a: Float32Array | Uint16Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)

function encode(type: WeightType, values: Float32Array, name: string): Uint8Array {
  if (type === 'Q8_0' || type === 'Q6_K') return encodeWeights(type, values, name)
  if (type === 'F32') return bytesOf(values)
  invariant(type === 'F16', `${type} is written as it is read only`)
  return bytesOf(f32ToF16(values))
}

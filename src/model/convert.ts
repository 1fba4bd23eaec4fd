/**
 * Writes a model with other weight formats: ternary matrices as a ternary type; embedding, head and other matrices as a
 * type with an encoder in the registry. Works on one tensor at a time, and reports lost precision.
 */
import { setImmediate } from 'node:timers/promises'
import type { GgufContent, GgufSlowTensor } from '../formats/gguf-writer.ts'
import { writeGgufSlowly } from '../formats/gguf-writer.ts'
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { f16Bits, f16Value, f32ToF16 } from '../lib/half.ts'
import { architecture } from './config.ts'
import { isWeightType, weightType } from '../weights/registry.ts'
import type { TernaryTypeName, WeightTypeName } from '../weights/registry.ts'
import { decodeWeights, encodeWeights } from '../weights/tensor.ts'
import { encodeTernary } from '../weights/ternary-tensor.ts'
import type { ModelConfig } from './config.ts'
import type { Conversation } from './conversation.ts'
import { fixedBytes, fixedTensors } from './fixed-tensors.ts'
import { architectureOf, configEntries, ggufName } from './gguf-config.ts'
import type { ModelSource } from './model-source.ts'
import { elementsOf, isTernary, isTernaryModel, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { fileRows, placeRows } from './row-order.ts'

export interface ConvertOptions {
  /** Default I2_S, which keeps every scale to the bit; for llama.cpp TQ2_0. */
  readonly ternary?: TernaryTypeName
  /** Type of the token embedding and of a separate head: one of `encodedTypes`. Default: unchanged. */
  readonly head?: WeightTypeName
  /** Type of the linear layers of a model that is not ternary, as `head`. Default: unchanged. */
  readonly matrices?: WeightTypeName
  /**
   * Writes only what releases of the program read, or refuses. Ternary rows that are not whole blocks of `ternary`
   * become F16.
   */
  readonly for?: 'llama.cpp'
  /** Whether an existing file is replaced. Default false. */
  readonly overwrite?: boolean
  /** Told the weights that are written, and of how many. */
  readonly onProgress?: (done: number, of: number) => void
  /** Once it is aborted, its reason is thrown, and nothing is left of the file. */
  readonly signal?: AbortSignal
}

/** Precision lost by a change of types. */
export interface PrecisionLoss {
  /** Tensors concerned: one table, or all ternary matrices. */
  readonly tensors: string
  readonly from: string
  readonly to: string
  /**
   * For a table, the root mean square of the differences divided by that of the values. For ternary matrices, the
   * largest relative change of a scale.
   */
  readonly relative: number
}

export interface Conversion {
  readonly bytes: number
  readonly tensors: number
  readonly architecture: string
  /** Conversation settings of the file. */
  readonly conversation: Conversation
  /** Whether ternary matrices were made from latent floating-point weights. */
  readonly latent: boolean
  /** Differences from the source, one sentence each. */
  readonly notes: readonly string[]
  /** In the order of the tensors; empty if every number is unchanged. */
  readonly losses: readonly PrecisionLoss[]
}

/** Weights of a table that are worked on at a time, about. */
const SLICE = 1 << 20

/**
 * Yields to the event loop every SLICE of a table and after every tensor, for example for signal handlers.
 * @throws VeritError VERIT_FILE_EXISTS, VERIT_MODEL_WRITE for a matrix that the type cannot represent, VERIT_TENSOR for
 *   invalid values
 */
export async function convertModel(
  source: ModelSource,
  path: string,
  options: ConvertOptions = {}
): Promise<Conversion> {
  const { config } = source
  const { overwrite = false } = options
  const parameters = parametersOf(config)
  const name = architectureOf(config)
  checkWritable(source, parameters)
  const ternary = options.ternary ?? (options.for === undefined ? 'I2_S' : 'TQ2_0')
  if (options.for !== undefined) checkForLlamaCpp(config, ternary)
  const writer = new Writer(source, path, { ...options, ternary })
  const total = parameters.reduce((n, p) => n + elementsOf(p), 0)
  let before = 0
  const progress = async (done: number): Promise<void> => {
    options.onProgress?.(done, total)
    await setImmediate()
    options.signal?.throwIfAborted()
  }
  const fixed = fixedTensors(config).map((t): GgufSlowTensor => ({
    name: t.name,
    shape: [t.values.length],
    type: 'F32',
    data: () => Promise.resolve(fixedBytes(t))
  }))
  const tensors = parameters.map((p): GgufSlowTensor => {
    const type = writer.typeOf(p)
    return {
      name: ggufName(config, p.name),
      shape: p.shape,
      type,
      data: async () => {
        const data = await writer.data(p, type, within => progress(before + within))
        await progress((before += elementsOf(p)))
        return data
      }
    }
  })
  const metadata: GgufContent['metadata'] = [
    ['general.architecture', gguf.string(name)],
    [
      'general.file_type',
      gguf.u32(ggufTypes[isTernaryModel(config) ? ternary : (options.matrices ?? 'F32')].fileType!)
    ],
    ['general.quantization_version', gguf.u32(2)],
    ...configEntries(config),
    ...(source.entries as readonly (readonly [string, GgufValue])[])
  ]
  const bytes = await writeGgufSlowly(path, { metadata, tensors: [...tensors, ...fixed] }, overwrite)
  const { conversation, latent, notes } = source
  return {
    bytes,
    tensors: tensors.length + fixed.length,
    architecture: name,
    conversation,
    latent,
    notes,
    losses: writer.losses()
  }
}

/**
 * Refuses models that no release of llama.cpp can run: its only BitNet (`bitnet`) has SiLU, and the embedding as its
 * head.
 * @throws VeritError VERIT_USAGE
 */
function checkForLlamaCpp(config: ModelConfig, ternary: TernaryTypeName): void {
  const refuse = (problem: string, hint: string): never => {
    throw new VeritError('VERIT_USAGE', { problem: `llama.cpp ${problem}`, hint })
  }
  if (!isTernaryModel(config)) return
  if (ternary === 'I2_S') refuse('does not read I2_S', 'Its ternary types are tq2_0 (the default here) and tq1_0')
  const found = architecture(config).llamaCppProblem(config)
  if (found !== undefined) refuse(found.problem, found.hint)
}

/** @throws VeritError VERIT_USAGE for matrices of experts */
function checkWritable({ name, config }: ModelSource, parameters: readonly Parameter[]): void {
  if (parameters.every(p => p.shape.length < 3)) return
  throw new VeritError('VERIT_USAGE', {
    problem: `${name} is a ${config.kind} model with experts, which verit convert does not write`,
    hint: 'Run it as it is'
  })
}

const isTable = (p: Parameter): boolean => p.name === 'token_embedding' || p.name === 'head.weight'

type WriterOptions = Pick<ConvertOptions, 'head' | 'matrices' | 'for'> & { readonly ternary: TernaryTypeName }

/** Sums over all values of a group of tensors: squares of the differences, and of the values. */
interface Difference {
  readonly from: string
  readonly to: string
  difference: number
  square: number
}

/** Encodes tensors, and records their losses. */
class Writer {
  #source: ModelSource
  #path: string
  #options: WriterOptions
  #differences = new Map<string, Difference>()
  #scales = 0

  constructor(source: ModelSource, path: string, options: WriterOptions) {
    this.#source = source
    this.#path = path
    this.#options = options
  }

  losses(): PrecisionLoss[] {
    const losses = [...this.#differences].map(([tensors, { from, to, difference, square }]) => ({
      tensors,
      from,
      to,
      relative: Math.sqrt(difference / square)
    }))
    return this.#scales === 0
      ? losses
      : [...losses, { tensors: 'scales of the ternary matrices', from: 'F32', to: 'F16', relative: this.#scales }]
  }

  /** The type of a parameter in the file. Vectors and positions stay exact. */
  typeOf(p: Parameter): GgufTypeName {
    const type = isTernary(p) ? this.#ternaryType(p) : this.#floatType(p)
    const name = ggufName(this.#source.config, p.name)
    const { block } = ggufTypes[type]
    const [out = 1, inputs = 1] = p.shape
    const unit = type === 'I2_S' ? out * inputs : inputs
    if (p.shape.length > 1 && unit % block !== 0) {
      this.#refuse(
        `${type} packs ${block} weights a block, which does not divide ` +
          `the ${type === 'I2_S' ? '' : 'rows of '}${unit} weights of ${name}`
      )
    }
    return type
  }

  #ternaryType(p: Parameter): TernaryTypeName | 'F16' {
    const { ternary, for: program } = this.#options
    return program !== undefined && p.shape[1]! % ggufTypes[ternary].block !== 0 ? 'F16' : ternary
  }

  #floatType(p: Parameter): GgufTypeName {
    if (p.shape.length === 1) return 'F32'
    const stored = this.#source.typeOf(p)
    const { head, matrices } = this.#options
    const wanted = isTable(p) ? head : matrices
    if (wanted !== undefined && p.name !== 'position_embedding') return wanted
    // Tables are copied row by row, which the tail of I2_S does not allow.
    return stored !== undefined && isWeightType(stored) && weightType(stored).tail === 0 ? stored : 'F32'
  }

  /** @param onWeights called with the number of weights that are done, and waited for */
  async data(p: Parameter, type: GgufTypeName, onWeights: (done: number) => Promise<void>): Promise<Uint8Array> {
    if (isTernary(p)) return this.#packTernary(p)
    return p.shape.length === 1
      ? bytesOf(this.#source.floats(p, 0, p.shape[0]!))
      : this.#matrix(p, type as WeightTypeName, onWeights)
  }

  #packTernary(p: Parameter): Uint8Array {
    const { config } = this.#source
    const { trits, scale } = this.#source.ternary(p)
    const order = fileRows(config, p.name)
    const name = ggufName(config, p.name)
    const type = this.#ternaryType(p)
    const rows = order === undefined ? trits : placeRows(trits, order, p.shape[1]!)
    if (type !== 'I2_S') {
      const half = f16Value(f16Bits(scale))
      if (!(half > 0 && half < Infinity))
        this.#refuse(`the scale ${scale} of ${name} is beyond the range of binary16; I2_S can hold it`)
      this.#scales = Math.max(this.#scales, Math.abs(half - scale) / scale)
    }
    return type === 'F16'
      ? bytesOf(f32ToF16(Float32Array.from(rows, t => t * scale)))
      : encodeTernary(type, rows, Float32Array.of(scale))
  }

  async #matrix(p: Parameter, type: WeightTypeName, onWeights: (done: number) => Promise<void>): Promise<Uint8Array> {
    const [out, inputs] = p.shape as [number, number]
    const stored = this.#source.typeOf(p)
    const name = ggufName(this.#source.config, p.name)
    const { block, bytes } = ggufTypes[type]
    const row = (inputs / block) * bytes
    const data = new Uint8Array(out * row)
    const most = Math.max(1, Math.floor(SLICE / inputs))
    let difference = 0
    let square = 0
    for (let from = 0; from < out; from += most) {
      const rows = Math.min(most, out - from)
      const values = this.#source.floats(p, from, rows)
      const part = data.subarray(from * row, (from + rows) * row)
      if (stored === type) part.set(this.#source.rows(p, from, rows))
      else {
        part.set(encodeWeights(type, values, name))
        const kept = decodeWeights(type, part, new Float32Array(values.length), name)
        for (let i = 0; i < values.length; i++) {
          difference += (kept[i]! - values[i]!) ** 2
          square += values[i]! ** 2
        }
      }
      await onWeights((from + rows) * inputs)
    }
    if (difference > 0)
      this.#account(isTable(p) ? name : 'matrices of the layers', {
        from: stored ?? 'F32',
        to: type,
        difference,
        square
      })
    return data
  }

  #account(group: string, loss: Difference): void {
    const sum = this.#differences.get(group)
    if (sum === undefined) this.#differences.set(group, loss)
    else {
      sum.difference += loss.difference
      sum.square += loss.square
    }
  }

  #refuse(problem: string): never {
    throw new VeritError('VERIT_MODEL_WRITE', { file: this.#path, problem })
  }
}

const bytesOf = (a: Float32Array | Uint16Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)

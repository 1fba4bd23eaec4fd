/**
 * Writes a model as a folder of Hugging Face's transformers: `config.json`, `model.safetensors` or its parts, and the
 * files of its tokenizer. `AutoModelForCausalLM.from_pretrained(folder)` loads it and gives the same logits. One slice
 * of a tensor at a time is in memory.
 */
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { HfFormat, HfPart } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'
import { writeSafetensorsSlowly } from '../formats/safetensors.ts'
import type { SafetensorsStream } from '../formats/safetensors.ts'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { OutFolder } from '../lib/out-folder.ts'
import { encodeSlice } from '../weights/encode-job.ts'
import { isModelFolder } from './hf-files.ts'
import { hfTokenizerFiles } from './hf-tokenizer.ts'
import type { ModelSource } from './model-source.ts'
import { elementsOf, isTernary, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { fileRows, pickRows } from './row-order.ts'

/** Types of numbers in safetensors, by torch's name. */
export const hfTypes = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const

export type HfType = keyof typeof hfTypes

export interface HfExportOptions {
  /** Default: that of the matrices if all have one, otherwise F32. */
  readonly type?: HfType
  /** Bytes of a part, about. Default 5 GB, as in transformers. */
  readonly partBytes?: number
  /** Whether an existing folder with a model is replaced. Default false. */
  readonly overwrite?: boolean
  /** Told the weights that are written, and of how many. */
  readonly onProgress?: (done: number, of: number) => void
  /** Once it is aborted, its reason is thrown, and nothing is left of the folder. */
  readonly signal?: AbortSignal
}

export interface HfExport {
  readonly bytes: number
  readonly tensors: number
  readonly type: HfType
  /** `model_type` of config.json. */
  readonly modelType: string
  /** Files of the folder, by name. */
  readonly files: readonly string[]
  /** Relative error of all weights (root mean square); 0 if every number is unchanged. */
  readonly relative: number
}

/** Weights that are written at a time, about. */
const SLICE = 1 << 20
const PART_BYTES = 5e9

/**
 * @throws VeritError VERIT_FILE_EXISTS, VERIT_USAGE for a model that transformers has no class for, VERIT_TENSOR for
 *   values that do not fit into the type
 */
export async function exportHf(source: ModelSource, path: string, options: HfExportOptions = {}): Promise<HfExport> {
  const { config } = source
  const format = architecture(config).hf
  if (format === undefined) return refuse(source, `a ${config.kind} model`)
  const type = options.type ?? typeOf(source)
  const json = configOf(source, format, type)
  const folder = new OutFolder(path, {
    force: options.overwrite === true,
    isOwn: isModelFolder,
    kind: 'a folder with a model in the form of transformers',
    hint: 'Choose another name'
  })
  try {
    const tensors = new Tensors(source, format, type, options)
    const weights = await writeWeights(folder.temporary, tensors.streams(), options.partBytes ?? PART_BYTES)
    const texts: [string, string][] = [
      ['config.json', `${JSON.stringify(json, null, 2)}\n`],
      ...weights.index,
      ...hfTokenizerFiles(source)
    ]
    for (const [name, text] of texts) {
      makeFolder(dirname(join(folder.temporary, name)))
      writeFileAtomic(join(folder.temporary, name), text)
    }
    folder.commit()
    return {
      bytes: weights.bytes,
      tensors: weights.tensors,
      type,
      modelType: String(json['model_type']),
      files: [...weights.files, ...texts.map(([name]) => name)].sort(),
      relative: tensors.relative
    }
  } catch (e) {
    folder.abort()
    throw e
  }
}

function refuse({ name }: ModelSource, what: string): never {
  throw new VeritError('VERIT_USAGE', {
    problem: `${name} is ${what}, which transformers has no class for`,
    hint: 'Write it as GGUF'
  })
}

/** The type that every matrix has; F32 if they differ, because it holds all of them. */
function typeOf(source: ModelSource): HfType {
  const matrices = parametersOf(source.config).filter(p => p.shape.length > 1 && p.whole !== true)
  const types = new Set(matrices.map(p => (isTernary(p) ? 'F32' : source.typeOf(p))))
  const [only] = types
  return types.size === 1 && only !== undefined && Object.hasOwn(hfTypes, only) ? (only as HfType) : 'F32'
}

function configOf(source: ModelSource, format: HfFormat, type: HfType): Record<string, unknown> {
  const { config, conversation } = source
  try {
    const ends = conversation.ends.map(({ id }) => id)
    return {
      ...format.write(config),
      bos_token_id: conversation.begin?.id ?? null,
      eos_token_id: ends.length === 1 ? ends[0]! : ends.length === 0 ? null : ends,
      // Defaults of some classes lie outside small vocabularies.
      pad_token_id: null,
      torch_dtype: hfTypes[type],
      use_cache: true
    }
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw e
    return refuse(source, `a ${config.kind} model whose ${e.fields.field} ${e.fields.problem}`)
  }
}

/** A tensor to write, and its bytes. */
interface NamedStream {
  readonly name: string
  readonly bytes: number
  readonly stream: SafetensorsStream
}

class Tensors {
  readonly #source: ModelSource
  readonly #format: HfFormat
  readonly #type: HfType
  readonly #options: HfExportOptions
  readonly #total: number
  #done = 0
  #difference = 0
  #square = 0

  constructor(source: ModelSource, format: HfFormat, type: HfType, options: HfExportOptions) {
    this.#source = source
    this.#format = format
    this.#type = type
    this.#options = options
    this.#total = parametersOf(source.config).reduce((n, p) => n + elementsOf(p), 0)
  }

  get relative(): number {
    return this.#difference === 0 ? 0 : Math.sqrt(this.#difference / this.#square)
  }

  streams(): NamedStream[] {
    const width = this.#type === 'F32' ? 4 : 2
    const named = (part: HfPart, pieces: SafetensorsStream['pieces']): NamedStream => ({
      name: part.name,
      bytes: part.shape.reduce((a, b) => a * b, width),
      stream: { dtype: this.#type, shape: part.shape, pieces }
    })
    const { config } = this.#source
    return [
      ...parametersOf(config).flatMap(p => (isTernary(p) ? this.#ternary(p) : this.#parts(p, named))),
      ...(this.#format.zeros?.(config) ?? []).map(part =>
        named(part, async function* zeros() {
          yield new Uint8Array(part.shape.reduce((a, b) => a * b, width))
        })
      )
    ]
  }

  /** The parts of the usual layout: whole tensors that hold the rows in order. */
  #parts(p: Parameter, named: (part: HfPart, pieces: SafetensorsStream['pieces']) => NamedStream): NamedStream[] {
    const parts = this.#format.layouts(p)[0]!
    const inputs = p.shape.length === 1 ? 1 : p.shape.at(-1)!
    let first = 0
    return parts.map(part => {
      const from = first
      const rows = part.shape.reduce((a, b) => a * b, 1) / inputs
      first += rows
      const turned = part.transposed === true
      return named(part, () => (turned ? this.#turned(p) : this.#rows(p, from, rows, inputs)))
    })
  }

  async *#rows(p: Parameter, from: number, rows: number, inputs: number): AsyncGenerator<Uint8Array> {
    const order = fileRows(this.#source.config, p.name)
    if (order !== undefined) {
      yield await this.#encoded(p, pickRows(this.#source.floats(p, from, rows), order, inputs))
      return
    }
    const most = Math.max(1, Math.floor(SLICE / inputs))
    for (let r = 0; r < rows; r += most)
      yield await this.#encoded(p, this.#source.floats(p, from + r, Math.min(most, rows - r)))
  }

  async *#turned(p: Parameter): AsyncGenerator<Uint8Array> {
    const [out, inputs] = p.shape as [number, number]
    const values = this.#source.floats(p, 0, out)
    const turned = new Float32Array(values.length)
    for (let o = 0; o < out; o++) for (let i = 0; i < inputs; i++) turned[i * out + o] = values[o * inputs + i]!
    yield await this.#encoded(p, turned)
  }

  async #encoded(p: Parameter, values: Float32Array): Promise<Uint8Array> {
    const addend = this.#format.addend(p.name)
    const stored = new Float32Array(addend === 0 ? values : values.map(v => v - addend))
    const result = encodeSlice({ type: this.#type, values: stored })
    if (typeof result === 'string')
      throw new VeritError('VERIT_TENSOR', { tensor: this.#format.layouts(p)[0]![0]!.name, problem: result })
    this.#difference += result.difference
    this.#square += result.square
    await this.#progress(values.length)
    return result.bytes
  }

  async #progress(weights: number): Promise<void> {
    this.#options.onProgress?.((this.#done += weights), this.#total)
    await setImmediate()
    this.#options.signal?.throwIfAborted()
  }

  /** Codes of 2 bits and a scale, as transformers packs them: field f of byte row r is row f · out/4 + r. */
  #ternary(p: Parameter): NamedStream[] {
    const { name } = this.#format.layouts(p)[0]![0]!
    const [out, inputs] = p.shape as [number, number]
    if (out % 4 !== 0)
      throw new VeritError('VERIT_USAGE', {
        problem: `transformers packs 4 rows of ternary weights, and ${name} has ${out}`,
        hint: 'Write the model as GGUF'
      })
    const source = this.#source
    const progress = (): Promise<void> => this.#progress(out * inputs)
    let scale = 0
    return [
      {
        name,
        bytes: (out / 4) * inputs,
        stream: {
          dtype: 'U8',
          shape: [out / 4, inputs],
          async *pieces() {
            const { trits } = source.ternary(p)
            const bytes = new Uint8Array(trits.length / 4)
            for (let i = 0; i < trits.length; i++)
              bytes[i % bytes.length]! |= (trits[i]! + 1) << (2 * Math.floor(i / bytes.length))
            yield bytes
            await progress()
          }
        }
      },
      {
        name: name.replace(/weight$/, 'weight_scale'),
        bytes: 4,
        stream: {
          dtype: 'F32',
          shape: [1],
          async *pieces() {
            scale = source.ternary(p).scale
            yield new Uint8Array(Float32Array.of(scale).buffer)
          }
        }
      }
    ]
  }
}

interface Weights {
  readonly bytes: number
  readonly tensors: number
  readonly files: readonly string[]
  /** The index of the parts, if there are several. */
  readonly index: readonly [string, string][]
}

/** One file, or parts of about `partBytes` with an index, as transformers names them. */
async function writeWeights(folder: string, streams: readonly NamedStream[], partBytes: number): Promise<Weights> {
  const parts: NamedStream[][] = [[]]
  let size = 0
  for (const stream of streams) {
    if (size > 0 && size + stream.bytes > partBytes) {
      parts.push([])
      size = 0
    }
    parts.at(-1)!.push(stream)
    size += stream.bytes
  }
  const five = (n: number): string => String(n).padStart(5, '0')
  const fileOf = (i: number): string =>
    parts.length === 1 ? 'model.safetensors' : `model-${five(i + 1)}-of-${five(parts.length)}.safetensors`
  let bytes = 0
  for (const [i, part] of parts.entries()) {
    const tensors = new Map(part.map(({ name, stream }) => [name, stream]))
    bytes += await writeSafetensorsSlowly(join(folder, fileOf(i)), tensors, { format: 'pt' })
  }
  const map = Object.fromEntries(parts.flatMap((part, i) => part.map(({ name }) => [name, fileOf(i)])))
  const total = streams.reduce((n, stream) => n + stream.bytes, 0)
  const index = { metadata: { total_size: total }, weight_map: map }
  return {
    bytes,
    tensors: streams.length,
    files: parts.map((_, i) => fileOf(i)),
    index: parts.length === 1 ? [] : [['model.safetensors.index.json', `${JSON.stringify(index, null, 2)}\n`]]
  }
}

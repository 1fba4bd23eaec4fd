/**
 * Packs a file's parameters for the serving graph, on the executor's threads while the next slice is read. Every value
 * is checked: reserved codes and values that are not finite are refused.
 */
import type { Executor, LoadedPlan, Plan } from '../exec/plan.ts'
import type { GgufFile } from '../formats/gguf-reader.ts'
import { weightLayout } from '../graph/layout.ts'
import type { Layout } from '../graph/layout.ts'
import { Graph } from '../graph/graph.ts'
import { VeritError } from '../lib/errors.ts'
import type { PackJob } from '../weights/packing.ts'
import { isTernaryType } from '../weights/registry.ts'
import type { TernaryTypeName } from '../weights/registry.ts'
import { chooseTernaryPacking } from '../weights/ternary-packing.ts'
import { decodeTernary, readScale, ternaryBytes } from '../weights/ternary-tensor.ts'
import { checkScreened } from './check-screened.ts'
import type { ModelConfig } from './config.ts'
import { ggufName } from './gguf-config.ts'
import { elementsOf, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { readFactor, readFloats, readRows, readTernary } from './read-tensor.ts'
import { fileRows, pickRows, pickRowsInto } from './row-order.ts'
import { matricesOf, servingForm, servingParts, servingWeights, sizeOf } from './weights.ts'
import type { PackedWeights, Screening, ServingForm, ServingPart } from './weights.ts'

export type LoadProgress = (done: number, total: number) => void

export interface PackOptions {
  /** How ternary weights are kept. Default: see `chooseTernaryPacking`. */
  readonly packing?: string | undefined
  /**
   * Whether an f16 head gets a 6-bit copy, for serving, which needs few of its rows. 'auto': if it is possible and
   * faster. Default false.
   */
  readonly screen?: Screening | undefined
  /** See `FormOptions`. */
  readonly decoded?: boolean | undefined
  /** Told how many bytes of tensors were read, and of how many. */
  readonly onProgress?: LoadProgress | undefined
}

/**
 * @param memory bytes that the weights may take
 * @throws VeritError VERIT_MEMORY, VERIT_MODEL_FILE, VERIT_TENSOR, VERIT_USAGE for a head that does not support
 *   screening
 */
export async function packWeights(
  file: GgufFile,
  executor: Executor,
  config: ModelConfig,
  memory: number,
  { packing, screen = false, decoded = false, onProgress }: PackOptions = {}
): Promise<PackedWeights> {
  const codes = chooseTernaryPacking(executor, packing)
  const formOf = (screen: Screening): ServingForm =>
    servingForm(config, { type: p => file.tensor(ggufName(config, p.name)).type, codes, screen, decoded })
  const layoutOf = (form: ServingForm): Layout => {
    const g = new Graph()
    servingWeights(g, config, form)
    return weightLayout(g)
  }
  let form = formOf(screen)
  // The screening copy is for speed: without memory for it, it is omitted, unless it was requested.
  if (screen !== false && layoutOf(form).bytes > memory) form = formOf(false)
  if (screen === true)
    checkScreened(file.name, config, form, 'write the model with another head: verit convert MODEL NEW.gguf --head f16')
  const { bytes, entries } = layoutOf(form)
  // The file may be sparse: its claims cost no disk space, and the system would kill the process rather than refuse
  // memory.
  if (bytes > memory)
    throw new VeritError('VERIT_MEMORY', {
      problem: `the weights of ${file.name} take ${bytes} bytes, and there are ${memory}`
    })
  const arena = executor.allocate(bytes)
  const places = new Map(entries.map(e => [e.name, new Uint8Array(arena, e.offset, e.bytes)]))
  const total = file.tensors.reduce((n, { byteLength }) => n + byteLength, 0)
  using packer = new Packer(
    file,
    executor,
    p => fileRows(config, p.name),
    read => onProgress?.(read, total)
  )
  const parts = Map.groupBy(servingParts(config, form), part => part.of.name)
  for (const p of parametersOf(config)) await packer.put(p, ggufName(config, p.name), parts.get(p.name)!, places)
  await packer.settle()
  return { bytes: new Uint8Array(arena, 0, bytes), form }
}

/** Runs one plan at a time on the executor's threads, while the next slice is read here. */
class Packer implements Disposable {
  #file: GgufFile
  #executor: Executor
  /** Rows of the file in the order of the model's, if that differs. */
  #order: (p: Parameter) => Int32Array | undefined
  #plans = new Map<string, LoadedPlan>()
  #running: Promise<void> = Promise.resolve()
  #staging = [new ArrayBuffer(0), new ArrayBuffer(0)]
  #turn = 0
  #unordered = new Uint8Array(0)
  /** Bytes read of the tensors before this one. */
  #read = 0
  #tell: (read: number) => void

  constructor(
    file: GgufFile,
    executor: Executor,
    order: (p: Parameter) => Int32Array | undefined,
    tell: (read: number) => void
  ) {
    this.#tell = tell
    this.#file = file
    this.#executor = executor
    this.#order = order
  }

  async put(
    p: Parameter,
    name: string,
    parts: readonly ServingPart[],
    places: ReadonlyMap<string, Uint8Array>
  ): Promise<void> {
    const { packing } = parts[0]!
    if (packing === undefined) {
      const place = places.get(p.name)!
      new Float32Array(place.buffer, place.byteOffset, elementsOf(p)).set(this.#floats(p, name))
    } else {
      for (let m = 0; m < matricesOf(p); m++) await packing.pack(this.#job(p, name, parts, places, m))
    }
    this.#tell((this.#read += this.#file.tensor(name).byteLength))
  }

  /** Values of a tensor, rows in the model's order. */
  #floats(p: Parameter, name: string): Float32Array {
    const order = this.#order(p)
    const values = readFloats(this.#file, name)
    return order === undefined ? values : pickRows(values, order, p.shape[1] ?? 1)
  }

  /** Waits for the last plan. */
  settle(): Promise<void> {
    return this.#running
  }

  #job(
    p: Parameter,
    tensor: string,
    parts: readonly ServingPart[],
    places: ReadonlyMap<string, Uint8Array>,
    index: number
  ): PackJob {
    const file = this.#file
    const size = sizeOf(p)
    const { type, byteLength } = file.tensor(tensor)
    const order = this.#order(p)
    const matrices = matricesOf(p)
    const rowBytes = byteLength / size.out / matrices
    const first = index * size.out
    // Values in another order are those of a few small matrices: read whole, and put in order once.
    let orderedValues: Float32Array | undefined
    const byPart = new Map(parts.map(part => [part.part!, { part, place: places.get(part.name)! }]))
    return {
      ...size,
      tensor,
      type,
      raw: (from, rows) => {
        if (order === undefined) return this.#slice(tensor, (first + from) * rowBytes, rows * rowBytes)
        return this.#orderedSlice(tensor, order.subarray(from, from + rows), rowBytes)
      },
      values: (from, rows) => {
        if (order !== undefined) {
          orderedValues ??= this.#floats(p, tensor)
          return new Float32Array(orderedValues.subarray(from * size.inputs, (from + rows) * size.inputs))
        }
        const values = readRows(file, tensor, first + from, rows)
        this.#tell(this.#read + (first + from + rows) * rowBytes)
        return values
      },
      readInto: (from, place) => {
        file.readTensorPart(tensor, (first + from) * rowBytes, place)
        this.#tell(this.#read + (first + from) * rowBytes)
      },
      place: (name, from, rows) => {
        const { part, place: all } = byPart.get(name)!
        const bytes = all.byteLength / matrices
        const place = all.subarray(index * bytes, (index + 1) * bytes)
        return from === 0 && rows === size.out
          ? place
          : groupRange(part.shape[0]! / matrices, part.rows!, place, from, rows)
      },
      ternary: () => readTernary(file, tensor, order),
      ternaryCodes: () => this.#ternaryCodes(tensor, type, size.inputs, order),
      run: (key, make, buffers, refused) => this.#run(key, make, buffers, refused),
      notFinite: () => wrong(tensor, 'it holds a value that is not a finite number'),
      badScale: () => wrong(tensor, 'the scale of one of its blocks is not a finite number'),
      reservedCode: () =>
        reserved(type as TernaryTypeName, file.readTensor(tensor), file.tensor(tensor).elements, tensor)
    }
  }

  /** Raw codes with one scale; undefined for floats, blocks with their own scales, or invalid data. */
  #ternaryCodes(
    name: string,
    type: string,
    inputs: number,
    order: Int32Array | undefined
  ): { raw: Uint8Array<ArrayBuffer>; scale: number } | undefined {
    // I2_S blocks that cross the ends of rows must be split when the rows are reordered.
    if (!isTernaryType(type) || (order !== undefined && type === 'I2_S' && inputs % 128 !== 0)) return undefined
    const { byteLength, elements } = this.#file.tensor(name)
    const whole = this.#slice(name, 0, byteLength)
    const raw =
      order === undefined ? whole : pickRows(whole, order, type === 'I2_S' ? inputs / 4 : ternaryBytes(type, inputs))
    const single = readScale(type, raw, elements)
    if (single === undefined) return undefined
    const scale = Math.fround(single * readFactor(this.#file, name))
    return scale > 0 && scale < Infinity ? { raw, scale } : undefined // read otherwise, it says what is wrong
  }

  /** Bytes of a tensor, in one of two buffers by turns: the plan that runs now may still read the other. */
  #slice(name: string, from: number, length: number): Uint8Array<ArrayBuffer> {
    const raw = this.#stage(length)
    this.#file.readTensorPart(name, from, raw)
    this.#tell(this.#read + from)
    return raw
  }

  /** The next buffer. It is used again: the first use of fresh memory costs more than reading into it. */
  #stage(length: number): Uint8Array<ArrayBuffer> {
    const turn = (this.#turn = 1 - this.#turn)
    if (this.#staging[turn]!.byteLength < length) this.#staging[turn] = new ArrayBuffer(length)
    return new Uint8Array(this.#staging[turn]!, 0, length)
  }

  /** Rows of a tensor in order. An architecture moves rows within a head, so few rows beyond the slice are read. */
  #orderedSlice(name: string, order: Int32Array, rowBytes: number): Uint8Array<ArrayBuffer> {
    const first = order.reduce((a, b) => Math.min(a, b))
    const last = order.reduce((a, b) => Math.max(a, b))
    const length = (last - first + 1) * rowBytes
    if (this.#unordered.length < length) this.#unordered = new Uint8Array(length)
    const read = this.#unordered.subarray(0, length)
    this.#file.readTensorPart(name, first * rowBytes, read)
    this.#tell(this.#read + first * rowBytes)
    const raw = this.#stage(order.length * rowBytes)
    pickRowsInto(raw, read, first, order)
    return raw
  }

  /** Waits for the previous plan, then starts this one. `refused` describes invalid data. */
  async #run(
    key: string,
    make: () => Plan,
    buffers: Record<string, ArrayBufferView>,
    refused?: () => never
  ): Promise<void> {
    await this.#running
    let plan = this.#plans.get(key)
    if (plan === undefined) this.#plans.set(key, (plan = this.#executor.load(make())))
    this.#running = plan.run(buffers).catch((e: unknown) => {
      if (refused !== undefined && VeritError.is(e, 'VERIT_PLAN')) refused()
      throw e
    })
    this.#running.catch(() => undefined) // told when it is awaited
  }

  [Symbol.dispose](): void {
    for (const plan of this.#plans.values()) plan.dispose()
  }
}

/** The bytes of a part with this many groups of `unit` rows, for the rows from `from` to `to`. */
function groupRange(groups: number, unit: number, place: Uint8Array, from: number, rows: number): Uint8Array {
  const bytes = place.byteLength / groups
  return place.subarray((from / unit) * bytes, Math.ceil((from + rows) / unit) * bytes)
}

function wrong(tensor: string, problem: string): never {
  throw new VeritError('VERIT_TENSOR', { tensor, problem })
}

/** Finds the code that the executor refused, and names its weight. */
function reserved(type: TernaryTypeName, raw: Uint8Array, weights: number, name: string): never {
  decodeTernary(type, raw, weights, name)
  throw new VeritError('VERIT_INTERNAL', { problem: `${name}: a code was refused that is none of the reserved ones` })
}

/**
 * A file's parameters in the form that the serving graph reads, made by the executor's threads while the next tensor is read: ternary codes and f16 rows are moved from one
 * layout to the other without the numbers in between. Every value is looked at: reserved codes and what is no finite number are refused.
 */
import type { Executor, LoadedPlan, Plan } from '../exec/plan.ts'
import type { GgufFile } from '../formats/gguf-reader.ts'
import { decodeTernary, ternaryBytes } from '../formats/ternary.ts'
import type { TernaryType } from '../formats/ternary.ts'
import { weightLayout } from '../graph/layout.ts'
import type { Layout } from '../graph/layout.ts'
import { Graph } from '../graph/graph.ts'
import { VeritError } from '../lib/errors.ts'
import { ternaryFormats } from '../ops/repack.ts'
import { checkScreened } from './check-screened.ts'
import type { ModelConfig } from './config.ts'
import { ggufName } from './gguf-config.ts'
import { elementsOf, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { eightBitPlan, halfPanelsPlan, packBase3, packCodes, panelsPlan, repackPlan, screenPlan, sixBitPlan } from './plans.ts'
import { isTernaryType, readFactor, readFloats, readScale, readTernary } from './read-tensor.ts'
import { fileRows, pickRows } from './row-order.ts'
import { isScreened, servingParts, servingWeights } from './weights.ts'
import type { PackedWeights, Screening, ServingForm, ServingPart, TableForm } from './weights.ts'

export type LoadProgress = (done: number, total: number) => void

/** Bytes of a tensor that are read and moved at a time. */
const SLICE = 8 << 20

/** What the file has its embedding and head in decides how they are kept, and the executor how ternary codes are. */
export function formOf(file: GgufFile, executor: Executor, config: ModelConfig, screen: Screening): ServingForm {
  const own = file.has('output.weight'), embedding = tableForm(file, 'token_embd.weight')
  const head = own ? tableForm(file, 'output.weight') : embedding, best = head === 'f16' && isScreened(config, screen) ? 'screened' : head
  return { ...(own ? { embedding, head: best } : { embedding: best }), ternary: executor.ternary }
}

const tableForms: Readonly<Record<string, TableForm>> = { F16: 'f16', Q8_0: 'q8', Q6_K: 'q6' }
const tableForm = (file: GgufFile, name: string): TableForm => tableForms[file.tensor(name).type] ?? 'f32'

/**
 * @param memory bytes that the weights may take
 * @param screen whether the head, which has to be f16, gets a 6-bit copy: for serving, where few of its rows matter; 'auto': where it can and gains by it
 * @param onProgress told how many bytes of tensors were read, and of how many
 * @throws VeritError VERIT_MEMORY, VERIT_MODEL_FILE, VERIT_TENSOR, VERIT_USAGE for a head that is to be screened and cannot be
 */
export async function packWeights(file: GgufFile, executor: Executor, config: ModelConfig, memory: number, screen: Screening = false, onProgress?: LoadProgress): Promise<PackedWeights> {
  const layoutOf = (form: ServingForm): Layout => {
    const g = new Graph()
    servingWeights(g, config, form)
    return weightLayout(g)
  }
  let form = formOf(file, executor, config, screen)
  // The copy is for speed: where there is no room for it, it is left out, unless it was asked for.
  if (screen !== false && layoutOf(form).bytes > memory) form = formOf(file, executor, config, false)
  if (screen === true) checkScreened(file.name, config, form, 'write the model with another head: verit convert MODEL NEW.gguf --head f16')
  const { bytes, entries } = layoutOf(form)
  // The file may be holes: what it claims costs nothing on the disk, and the system would end the process rather than say no.
  if (bytes > memory) throw new VeritError('VERIT_MEMORY', { problem: `the weights of ${file.name} take ${bytes} bytes, and there are ${memory}` })
  const arena = executor.allocate(bytes)
  const places = new Map(entries.map(e => [e.name, new Uint8Array(arena, e.offset, e.bytes)]))
  const total = file.tensors.reduce((n, { byteLength }) => n + byteLength, 0)
  using packer = new Packer(file, executor, form, p => fileRows(config, p.name), read => onProgress?.(read, total))
  const parts = Map.groupBy(servingParts(config, form), part => part.of.name)
  for (const p of parametersOf(config)) await packer.put(p, ggufName(config, p.name), parts.get(p.name)!, places)
  await packer.settle()
  return { bytes: new Uint8Array(arena, 0, bytes), form }
}

/** Runs one plan at a time on the executor's threads, while the next tensor is read here. */
class Packer implements Disposable {
  #file: GgufFile
  #executor: Executor
  #base3: boolean
  /** Rows of the file in the order of the model's, where it is another. */
  #order: (p: Parameter) => Int32Array | undefined
  #plans = new Map<string, LoadedPlan>()
  #running: Promise<void> = Promise.resolve()
  #staging = [new ArrayBuffer(0), new ArrayBuffer(0)]
  #turn = 0
  /** Of the tensors before this one. */
  #read = 0
  #tell: (read: number) => void

  constructor(file: GgufFile, executor: Executor, form: ServingForm, order: (p: Parameter) => Int32Array | undefined, tell: (read: number) => void) {
    this.#tell = tell
    this.#file = file
    this.#executor = executor
    this.#base3 = form.ternary === 'base3'
    this.#order = order
  }

  async put(p: Parameter, name: string, parts: readonly ServingPart[], places: ReadonlyMap<string, Uint8Array>): Promise<void> {
    for (const part of parts) {
      const place = places.get(part.name)!
      if (part.form === 'values') new Float32Array(place.buffer, place.byteOffset, elementsOf(p)).set(this.#floats(p, name))
      else if (part.form === 'panels') await (part.dtype === 'f16' ? this.#halves(p, name, place) : this.#panels(p, name, place))
      else if (part === parts[0] && (part.form === 'sixBits' || part.form === 'eightBits')) await this.#blocks(part.form, p, name, parts.map(({ name }) => places.get(name)!))
      else if (part.form === 'rows') await this.#screened(p, name, parts.map(({ name }) => places.get(name)!))
      else if (part.form === 'codes') await this.#codes(p, name, place, new Float32Array(places.get(`${p.name}.m`)!.buffer, places.get(`${p.name}.m`)!.byteOffset, 1))
    }
    this.#tell(this.#read += this.#file.tensor(name).byteLength)
  }

  /** Waits for the last plan. */
  settle(): Promise<void> {
    return this.#running
  }

  async #codes(p: Parameter, name: string, codes: Uint8Array, scale: Float32Array): Promise<void> {
    const [out, inputs] = p.shape as [number, number], { type } = this.#file.tensor(name)
    const order = this.#order(p)
    // Blocks of I2_S that reach over the ends of rows have to be taken apart when the rows move.
    const raw = isTernaryType(type) && (order === undefined || type !== 'I2_S' || inputs % 128 === 0) ? this.#inOrder(name, type, order, inputs) : undefined
    const single = raw && readScale(type as TernaryType, raw, out * inputs)
    if (raw === undefined || single === undefined) {
      // Floats, or blocks of zeros with scales of their own, or something wrong.
      const { trits, scale: m } = readTernary(this.#file, name, order)
      if (this.#base3) packBase3(trits, out, inputs, codes)
      else packCodes(trits, out, inputs, codes)
      scale[0] = m
      return
    }
    scale[0] = single * readFactor(this.#file, name)
    if (!(scale[0]! > 0 && scale[0]! < Infinity)) readTernary(this.#file, name) // says what is wrong
    await this.#run(`codes ${type} ${p.shape}`, () => repackPlan(out, inputs, ternaryFormats.indexOf(type as TernaryType), this.#base3), { raw, codes }, () => reserved(type as TernaryType, raw, out * inputs, name))
  }

  #inOrder(name: string, type: TernaryType, order: Int32Array | undefined, inputs: number): Uint8Array<ArrayBuffer> {
    const raw = this.#slice(name, 0, this.#file.tensor(name).byteLength)
    return order === undefined ? raw : pickRows(raw, order, type === 'I2_S' ? inputs / 4 : ternaryBytes(type, inputs))
  }

  /** Values of a tensor, rows in the model's order. */
  #floats(p: Parameter, name: string): Float32Array {
    const order = this.#order(p), values = readFloats(this.#file, name)
    return order === undefined ? values : pickRows(values, order, p.shape[1] ?? 1)
  }

  async #panels(p: Parameter, name: string, place: Uint8Array): Promise<void> {
    const [out, inputs] = p.shape as [number, number]
    await this.#run(`panels ${p.shape}`, () => panelsPlan(out, inputs), { values: this.#floats(p, name), panels: place })
  }

  /** Whole blocks of 16 rows at a time. @param places codes, scales where there are any, and factors */
  async #blocks(form: 'sixBits' | 'eightBits', p: Parameter, name: string, places: readonly Uint8Array[]): Promise<void> {
    const [out, inputs] = p.shape as [number, number], six = form === 'sixBits', row = six ? (inputs / 256) * 210 : (inputs / 32) * 34
    const most = 16 * Math.max(1, Math.floor(SLICE / (16 * row)))
    for (let from = 0; from < out; from += most) {
      const rows = Math.min(most, out - from), raw = this.#slice(name, from * row, rows * row)
      // Bytes for each weight of a row.
      const shares = six ? { codes: 3 / 4, s: 1 / 16, d: 4 / 256 } : { codes: 1, d: 2 / 32 }
      const [a, b] = [from * inputs, (from + Math.ceil(rows / 16) * 16) * inputs]
      const parts = Object.fromEntries(Object.entries(shares).map(([part, share], i) => [part, places[i]!.subarray(a * share, b * share)]))
      await this.#run(`${form} ${rows} ${inputs}`, () => (six ? sixBitPlan : eightBitPlan)(rows, inputs), { raw, ...parts }, () => {
        throw new VeritError('VERIT_TENSOR', { tensor: name, problem: 'the factor of one of its blocks is not a finite number' })
      })
    }
  }

  /** Whole panels at a time. */
  async #halves(p: Parameter, name: string, place: Uint8Array): Promise<void> {
    const [out, inputs] = p.shape as [number, number], row = 2 * inputs
    const most = 32 * Math.max(1, Math.floor(SLICE / (32 * row)))
    for (let from = 0; from < out; from += most) {
      const rows = Math.min(most, out - from), raw = this.#slice(name, from * row, rows * row)
      await this.#run(`halves ${rows} ${inputs}`, () => halfPanelsPlan(rows, inputs), { raw, panels: place.subarray(from * row, from * row + Math.ceil(rows / 32) * 32 * row) }, () => notFinite(name))
    }
  }

  /** Rows go where they stay, and their copy is made of them there. @param places rows, codes, scales, factors and errors */
  async #screened(p: Parameter, name: string, [rows, codes, s, d, errors]: readonly Uint8Array[]): Promise<void> {
    const [out, inputs] = p.shape as [number, number], most = 16 * Math.max(1, Math.floor(SLICE / (32 * inputs)))
    for (let from = 0; from < out; from += most) {
      const count = Math.min(most, out - from), blocks = Math.ceil(count / 16) * 16
      const part = (place: Uint8Array | undefined, row: number, rows = blocks): Uint8Array => place!.subarray(from * row, (from + rows) * row), raw = part(rows, 2 * inputs, count)
      this.#file.readTensorPart(name, from * 2 * inputs, raw)
      this.#tell(this.#read + from * 2 * inputs)
      const made = { codes: part(codes, inputs * 0.75), s: part(s, inputs / 16), d: part(d, inputs / 64), errors: part(errors, 8) }
      await this.#run(`screen ${count} ${inputs}`, () => screenPlan(count, inputs), { raw, ...made }, () => notFinite(name))
    }
  }

  /** Bytes of a tensor, in one of two buffers by turns: the plan that runs now may still read the other. */
  #slice(name: string, from: number, length: number): Uint8Array<ArrayBuffer> {
    const turn = (this.#turn = 1 - this.#turn)
    if (this.#staging[turn]!.byteLength < length) this.#staging[turn] = new ArrayBuffer(length)
    const raw = new Uint8Array(this.#staging[turn]!, 0, length)
    this.#file.readTensorPart(name, from, raw)
    this.#tell(this.#read + from)
    return raw
  }

  /** Waits for the plan before, then starts this one. `refused` says what was wrong with the data. */
  async #run(key: string, make: () => Plan, buffers: Record<string, ArrayBufferView>, refused?: () => never): Promise<void> {
    await this.#running
    let plan = this.#plans.get(key)
    if (plan === undefined) this.#plans.set(key, plan = this.#executor.load(make()))
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

function notFinite(tensor: string): never {
  throw new VeritError('VERIT_TENSOR', { tensor, problem: 'it holds a value that is not a finite number' })
}

/** Finds the code that the executor would not take, and says which weight it is. */
function reserved(type: TernaryType, raw: Uint8Array, weights: number, name: string): never {
  decodeTernary(type, raw, weights, name)
  throw new VeritError('VERIT_INTERNAL', { problem: `${name}: a code was refused that is none of the reserved ones` })
}

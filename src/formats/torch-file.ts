/**
 * Weights that PyTorch saved (`torch.save`, since version 1.6): a ZIP archive with a pickle that describes tensors, and
 * a file of numbers per storage. Read as data only (pickle.ts).
 */
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { RegularFile, openRegular } from '../lib/regular-file.ts'
import type { ByteSource } from '../lib/regular-file.ts'
import { readPickle } from './pickle.ts'
import type { Pickled, PickledTensor } from './pickle.ts'
import { safetensorsDtypes } from './safetensors-header.ts'
import type { SafetensorsDtype } from './safetensors-header.ts'
import { readStoredZip } from './stored-zip.ts'
import type { StoredEntry } from './stored-zip.ts'
import type { TensorEntry, TensorFile } from './tensor-file.ts'

const MOST_PICKLE_BYTES = 1 << 26

/** Names under which checkpoints keep their weights. */
const WEIGHTS = ['model', 'model_state_dict', 'state_dict', 'model_state', 'weights']

/** Name that `torch.compile` puts before each tensor. */
const COMPILED = '_orig_mod.'

interface Place extends TensorEntry {
  readonly offset: number
}

export class TorchFile implements TensorFile {
  readonly name: string
  /** The configuration beside the weights (`model_args`, `config`), if there is one. */
  readonly configuration: Readonly<Record<string, unknown>> | undefined
  readonly #source: ByteSource
  readonly #places = new Map<string, Place>()

  /** @throws VeritError VERIT_TORCH_FILE */
  constructor(source: ByteSource) {
    this.name = source.name
    this.#source = source
    const entries = readStoredZip(source)
    const [name, pickle] =
      [...entries].find(([entry]) => /^[^/]*\/data\.pkl$/.test(entry)) ?? this.#refuse('it has no data.pkl')
    const folder = name.slice(0, -'data.pkl'.length)
    this.#checkByteOrder(entries.get(`${folder}byteorder`))
    if (pickle.size > MOST_PICKLE_BYTES)
      this.#refuse(`its data.pkl has ${pickle.size} bytes, more than ${MOST_PICKLE_BYTES}`)
    const bytes = Buffer.alloc(pickle.size)
    source.read(pickle.offset, bytes)
    const root = readPickle(bytes, (problem, at) => this.#refuse(`in its data.pkl, ${problem}`, pickle.offset + at))
    if (!(root instanceof Map)) return this.#refuse('its content is no dictionary', pickle.offset)
    const weights = weightsOf(root) ?? this.#refuse('it holds no dictionary of tensors', pickle.offset)
    this.configuration = configurationOf(root)
    const seen = new Set<string>()
    for (const [key, tensor] of weights) {
      const place = this.#place(key, tensor, entries.get(`${folder}data/${tensor.storage.key}`))
      // A matrix that two layers share has two names; the first one stands for both.
      const same = `${place.offset} ${place.shape.join()}`
      if (place.byteLength > 0 && seen.has(same)) continue
      seen.add(same)
      this.#places.set(key.startsWith(COMPILED) ? key.slice(COMPILED.length) : key, place)
    }
  }

  get tensors(): ReadonlyMap<string, TensorEntry> {
    return this.#places
  }

  read(name: string): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#places.get(name)!.byteLength)
    this.readPart(name, 0, bytes)
    return bytes
  }

  readPart(name: string, from: number, target: Uint8Array): void {
    if (this.#source instanceof RegularFile) this.#source.checkUnchanged()
    this.#source.read(this.#places.get(name)!.offset + from, target)
  }

  [Symbol.dispose](): void {
    if (this.#source instanceof RegularFile) this.#source.close()
  }

  #place(name: string, { storage, offset, shape, strides }: PickledTensor, entry: StoredEntry | undefined): Place {
    const shown = printable(name, 80)
    const { dtype } = storage
    if (entry === undefined) return this.#refuse(`the numbers of its tensor ${shown} are missing`)
    const width = safetensorsDtypes[dtype as SafetensorsDtype]
    const elements = shape.reduce((a, b) => a * b, 1)
    let expected = 1
    for (let d = shape.length - 1; d >= 0; d--) {
      if (shape[d]! > 1 && strides[d] !== expected)
        return this.#refuse(`its tensor ${shown} is not stored row by row; save it with .contiguous()`)
      expected *= shape[d]!
    }
    const inside = Number.isSafeInteger(elements) && offset + elements <= storage.length
    if (!inside || storage.length * width > entry.size)
      return this.#refuse(`its tensor ${shown} does not lie in its storage`)
    return { dtype, shape, byteLength: elements * width, offset: entry.offset + offset * width }
  }

  #checkByteOrder(entry: StoredEntry | undefined): void {
    if (entry === undefined) return
    const bytes = Buffer.alloc(Math.min(entry.size, 16))
    this.#source.read(entry.offset, bytes)
    if (bytes.toString('latin1') !== 'little') this.#refuse('its numbers are big-endian', entry.offset)
  }

  #refuse(problem: string, offset = 0): never {
    throw new VeritError('VERIT_TORCH_FILE', { file: this.name, offset, problem })
  }
}

/** Opens a file by path. Close it after use. */
export function openTorch(path: string): TorchFile {
  const source = openRegular(path, 'weights of PyTorch')
  try {
    return new TorchFile(source)
  } catch (e) {
    source.close()
    throw e
  }
}

type Dictionary = ReadonlyMap<Pickled, Pickled>

const isTensor = (value: Pickled): value is PickledTensor =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'tensor'

/** The dictionary itself, or the one under a usual name: texts to tensors, at least one. */
function weightsOf(root: Dictionary): [string, PickledTensor][] | undefined {
  for (const candidate of [root, ...WEIGHTS.map(name => root.get(name))]) {
    if (!(candidate instanceof Map)) continue
    const all = [...(candidate as Dictionary)]
    if (all.length === 0 || !all.every(([key, value]) => typeof key === 'string' && isTensor(value))) continue
    return all as [string, PickledTensor][]
  }
  return undefined
}

const isPlain = (value: Pickled): boolean => value === null || ['boolean', 'number', 'string'].includes(typeof value)

/** Names under which checkpoints keep the configuration of their model. */
const CONFIGURATIONS = ['model_args', 'config', 'model_config', 'gpt_config']

/** The configuration of a checkpoint: plain values by name. */
function configurationOf(root: Dictionary): Readonly<Record<string, unknown>> | undefined {
  for (const name of CONFIGURATIONS) {
    const value = root.get(name)
    if (!(value instanceof Map)) continue
    const entries = [...(value as Dictionary)].filter(([key, one]) => typeof key === 'string' && isPlain(one))
    return Object.fromEntries(entries as [string, unknown][])
  }
  return undefined
}

/**
 * A model in a folder of Hugging Face's transformers: `config.json` and `model.safetensors`, or its parts.
 * Ternary weights are packed (uint8, `integrations/bitnet.py`) or latent ones in floating point, which are ternarised
 * as the forward pass would.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { HfReader, TernaryStorage } from '../arch/architecture.ts'
import type { Fields } from '../arch/fields.ts'
import { hfModelTypes, hfReaderOf } from '../arch/registry.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { otherKind } from '../lib/other-kind.ts'
import { openSafetensors } from '../formats/safetensors.ts'
import type { SafetensorsFile } from '../formats/safetensors.ts'
import { VeritError } from '../lib/errors.ts'
import { fileError } from '../lib/file-error.ts'
import { printable } from '../lib/printable.ts'
import { openRegular } from '../lib/regular-file.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import { opTable } from '../ops/table.ts'
import { UNUSED } from '../tokenizer/parts.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { floats } from '../weights/floats.ts'
import { decodeWeights } from '../weights/tensor.ts'
import type { ModelConfig } from './config.ts'
import { joinClaims, noClaims, resolveConversation } from './conversation.ts'
import type { Conversation, ConversationClaims, ConversationOverrides } from './conversation.ts'
import { conversationEntries, isConversationKey, replaceEntries } from './gguf-conversation.ts'
import { folderClaims } from './hf-conversation.ts'
import type { ModelSource } from './model-source.ts'
import { isTernary, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { codeBytes, unpackCodes } from '../weights/ternary-codes.ts'
import { fileRows, placeRows } from './row-order.ts'

const MAX_CONFIG_BYTES = 1 << 20

/** Names of weight files in transformers: one file, or parts. */
const WEIGHTS = /^model(-\d{5}-of-\d{5})?\.safetensors$/

/** Types that safetensors has by the same name as ggml. */
type FloatName = keyof typeof floats

const isFloat = (dtype: string): dtype is FloatName => Object.hasOwn(floats, dtype)

/** @throws VeritError VERIT_MODEL_FILE naming the field */
function readConfig(file: string, json: Fields, reader: HfReader, has: (tensor: string) => boolean): ModelConfig {
  try {
    return reader.read(json, has)
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw e
    throw new VeritError('VERIT_MODEL_FILE', { file, problem: `${e.fields.field} ${e.fields.problem}` }, e)
  }
}

/** The reader of a configuration. @throws VeritError VERIT_MODEL_FILE if there is none */
function readerOf(file: string, json: unknown): { fields: Fields; reader: HfReader } {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_MODEL_FILE', { file, problem })
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return refuse('its content is not an object')
  const fields = json as Fields
  const type = JSON.stringify(fields['model_type'])
  const reader = hfReaderOf(fields) ?? refuse(`model_type is ${type}, where ${hfModelTypes.join(', ')} are supported`)
  return { fields, reader }
}

/** The tokenizer of a folder, in GGUF's form and as an object. */
export interface FolderTokenizer {
  readonly entries: readonly (readonly [string, GgufValue])[]
  readonly tokenizer: TextTokenizer
  /**
   * Conversation settings of the tokenizer's source file. Absent: the source is the folder's own tokenizer.json, whose
   * post-processor counts.
   */
  readonly claims?: ConversationClaims
}

/** An open folder. Close it after use. */
export class HfSource implements ModelSource, Disposable {
  readonly name: string
  readonly config: ModelConfig
  readonly entries: readonly (readonly [string, GgufValue])[]
  readonly conversation: Conversation
  readonly notes: string[] = []
  /** How ternary weights are stored; undefined for a model that has none. */
  #storage: TernaryStorage | undefined
  #reader: HfReader
  #files: SafetensorsFile[] = []
  #where = new Map<string, SafetensorsFile>()
  #names = new Map<string, string>()
  /** Cache of the tensor of the latest rows: tables are read slice by slice. */
  #latest: { name: string; bytes: Uint8Array<ArrayBuffer> } | undefined

  /**
   * @throws VeritError VERIT_MODEL_FILE, VERIT_SAFETENSORS, VERIT_FILE_NOT_FOUND, VERIT_USAGE for an override that
   * names no token
   */
  constructor(folder: string, tokenizer: FolderTokenizer, overrides: ConversationOverrides = {}) {
    this.name = folder
    try {
      this.#open()
      const path = join(folder, 'config.json')
      const has = (name: string): boolean => this.#where.has(name)
      const json = readJson(path)
      const { fields, reader } = readerOf(path, json)
      this.#reader = reader
      this.config = readConfig(path, fields, reader, has)
      this.#storage = reader.ternaryStorage?.(fields)
      this.#match()
      const claims = joinClaims(
        folderClaims(folder, json, tokenizer.claims === undefined ? tokenizer.tokenizer : undefined),
        tokenizer.claims ?? noClaims
      )
      this.conversation = resolveConversation(claims, tokenizer.tokenizer, overrides)
      const name: readonly [string, GgufValue] = [
        'general.name',
        gguf.string(folder.split('/').findLast(part => part !== '') ?? folder)
      ]
      this.entries = [
        name,
        ...replaceEntries(
          this.#padded(tokenizer.entries.filter(([key]) => !isConversationKey(key))),
          conversationEntries(this.conversation)
        )
      ]
      if (this.latent)
        this.notes.push(
          'the weights were made ternary, as each forward pass of the model does: ' +
            'the file runs the same model, and training cannot go on from it'
        )
    } catch (e) {
      this[Symbol.dispose]()
      throw e
    }
  }

  typeOf(p: Parameter): FloatName | undefined {
    const { dtype } = this.#entry(p)
    return isFloat(dtype) ? dtype : undefined
  }

  rows(p: Parameter, from: number, rows: number): Uint8Array {
    const name = this.#names.get(p.name)!
    if (this.#latest?.name !== name)
      this.#latest = { name, bytes: this.#inFileOrder(p, this.#where.get(name)!.read(name)) }
    const row = this.#latest.bytes.length / p.shape[0]!
    return this.#latest.bytes.subarray(from * row, (from + rows) * row)
  }

  floats(p: Parameter, from: number, rows: number): Float32Array {
    const type =
      this.typeOf(p) ?? this.#wrong(p, `is of type ${this.#entry(p).dtype}, where F32, F16 and BF16 are supported`)
    const values = decodeWeights(
      type,
      this.rows(p, from, rows),
      new Float32Array(rows * (p.shape[1] ?? 1)),
      this.#names.get(p.name)!
    )
    const addend = this.#reader.addend(p.name)
    return addend === 0 ? values : values.map(v => v + addend)
  }

  /** The rows of a float tensor in the order of GGUF files; ternary ones are put into it when they are written. */
  #inFileOrder(p: Parameter, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const order = isTernary(p) ? undefined : fileRows(this.config, p.name)
    return order === undefined ? bytes : placeRows(bytes, order, bytes.length / p.shape[0]!)
  }

  ternary(p: Parameter): { trits: Int8Array; scale: number } {
    const [out, inputs] = p.shape as [number, number]
    const packed = this.#entry(p).dtype === 'U8'
    if (packed) return { trits: this.#unpack(p, out, inputs), scale: this.#scale(p) }
    const values = this.floats(p, 0, out)
    if (this.#storage?.latent !== true) {
      if (!values.every(v => v === 0 || v === 1 || v === -1))
        this.#wrong(p, 'has values besides -1, 0 and 1, where quantization_mode is offline')
      return { trits: Int8Array.from(values), scale: this.#scale(p) }
    }
    // The reference of the operation that training and online quantisation use: the same bits as every executor.
    const codes = new Uint8Array(codeBytes(out, inputs))
    const m = new Float32Array(1)
    opTable.get('ternarize')!.run([values], [codes, m], { O: out, K: inputs })
    return { trits: unpackCodes(codes, out, inputs), scale: m[0]! }
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file.close()
  }

  #open(): void {
    let names: string[]
    try {
      names = readdirSync(this.name)
        .filter(name => WEIGHTS.test(name))
        .sort()
    } catch (e) {
      throw fileError(e, this.name, 'read', 'a folder with a model')
    }
    refusePickle(this.name)
    if (names.length === 0)
      throw new VeritError('VERIT_FILE_NOT_FOUND', {
        path: join(this.name, 'model.safetensors'),
        purpose: 'the weights of the model'
      })
    for (const name of names) {
      const file = openSafetensors(join(this.name, name))
      this.#files.push(file)
      for (const tensor of file.tensors.keys()) {
        if (this.#where.has(tensor)) this.#refuse(`tensor ${printable(tensor)} stands in two of its files`)
        this.#where.set(tensor, file)
      }
    }
  }

  /** Checks that every parameter has its tensor in its shape, and that there is no other tensor. */
  #match(): void {
    const used = new Set<string>()
    for (const p of parametersOf(this.config)) {
      const names = this.#reader.tensorNames(p.name)
      const name = names.find(n => this.#where.has(n)) ?? this.#refuse(`there is no tensor ${names[0]}`)
      this.#names.set(p.name, name)
      const scale = name.replace(/weight$/, 'weight_scale')
      const { dtype, shape } = this.#entry(p)
      const rows = dtype === 'U8' ? p.shape[0]! / 4 : p.shape[0]!
      if (shape.join() !== [rows, ...p.shape.slice(1)].join())
        this.#wrong(p, `is ${shape.join(' x ')}, where ${[rows, ...p.shape.slice(1)].join(' x ')} is expected`)
      if (dtype === 'U8' && !isTernary(p)) this.#wrong(p, 'is packed, where floating-point numbers are expected')
      if (dtype === 'U8' && !this.#where.has(scale)) this.#refuse(`there is no tensor ${scale}`)
      used.add(name)
      if (isTernary(p)) used.add(scale)
    }
    for (const name of this.#where.keys()) {
      if (!used.has(name) && !name.endsWith('.rotary_emb.inv_freq'))
        this.#refuse(`it has a tensor ${printable(name, 80)}, which such a model does not have`)
    }
  }

  /**
   * Fields run across rows: row r is field r div (out / 4) of packed row r mod (out / 4), lowest bits first; codes 0,
   * 1, 2.
   */
  #unpack(p: Parameter, out: number, inputs: number): Int8Array {
    const bytes = this.rows(p, 0, out)
    const quarter = (out / 4) * inputs
    const trits = new Int8Array(out * inputs)
    for (let field = 0; field < 4; field++) {
      for (let i = 0; i < quarter; i++) {
        const code = (bytes[i]! >> (2 * field)) & 3
        if (code === 3) this.#wrong(p, `has a reserved code in byte ${i}`)
        trits[field * quarter + i] = code - 1
      }
    }
    return trits
  }

  #scale(p: Parameter): number {
    const name = this.#names.get(p.name)!.replace(/weight$/, 'weight_scale')
    const file = this.#where.get(name)
    const entry = file?.tensors.get(name)
    if (file === undefined || entry === undefined) return this.#refuse(`there is no tensor ${name}`)
    const { dtype } = entry
    if (entry.shape.reduce((a, b) => a * b, 1) !== 1 || !isFloat(dtype))
      return this.#refuse(`tensor ${name} is not one floating-point number`)
    const s = decodeWeights(dtype, file.read(name), new Float32Array(1), name)[0]!
    const m = Math.fround(this.#storage?.scale === 'divides' ? 1 / s : s)
    return m > 0 && m < Infinity ? m : this.#refuse(`tensor ${name} is ${s}, which gives no positive scale`)
  }

  /** Whether the folder has ternary matrices in floating point, as in training. */
  get latent(): boolean {
    const packed = (p: Parameter): boolean => this.#entry(p).dtype === 'U8'
    return this.#storage?.latent === true && parametersOf(this.config).some(p => isTernary(p) && !packed(p))
  }

  /**
   * A vocabulary of the embedding's size: published embeddings are often padded to a round number of rows. The padding
   * gets unused tokens.
   */
  #padded(entries: FolderTokenizer['entries']): FolderTokenizer['entries'] {
    const tokens = entries.find(([key]) => key === 'tokenizer.ggml.tokens')?.[1]
    const texts = tokens?.type === 'array' && tokens.of === 'string' ? tokens.value : []
    const { vocab } = this.config
    const spare = vocab - texts.length
    if (spare < 0) this.#refuse(`its tokenizer has ${texts.length} tokens, its embedding ${vocab}`)
    if (spare === 0) return entries
    this.notes.push(
      `the embedding has ${vocab} rows and the tokenizer ${texts.length} tokens: ` +
        `${spare} unused tokens were added, which no answer holds`
    )
    const taken = new Set(texts)
    const pads = Array.from({ length: spare }, (_, i) => freeName(`[PAD${texts.length + i}]`, taken))
    const longer: Readonly<Record<string, (value: GgufValue) => GgufValue>> = {
      'tokenizer.ggml.tokens': () => gguf.strings([...texts, ...pads]),
      'tokenizer.ggml.token_type': value => gguf.i32s([...numbersOf(value), ...pads.map(() => UNUSED)]),
      'tokenizer.ggml.scores': value => gguf.f32s([...numbersOf(value), ...pads.map(() => UNUSED_SCORE)])
    }
    return entries.map(([key, value]) => [key, longer[key]?.(value) ?? value] as const)
  }

  #entry(p: Parameter): { dtype: string; shape: readonly number[] } {
    const name = this.#names.get(p.name)!
    return this.#where.get(name)!.tensors.get(name)!
  }

  #refuse(problem: string): never {
    throw new VeritError('VERIT_MODEL_FILE', { file: this.name, problem })
  }

  #wrong(p: Parameter, problem: string): never {
    throw new VeritError('VERIT_TENSOR', { tensor: this.#names.get(p.name)!, problem: `it ${problem}` })
  }
}

/** The score that converters of llama.cpp give to pieces which pad a vocabulary. */
const UNUSED_SCORE = -10_000

const numbersOf = (value: GgufValue): number[] =>
  value.type === 'array' ? Array.from(value.value as Iterable<number | bigint>, Number) : []

/** Weights that PyTorch saves as pickle, whole or in shards. */
const PICKLE = /^(?:pytorch_model|consolidated|model)\S*\.(?:bin|pt|pth|ckpt)$|\.(?:pt|pth|ckpt)$/

/**
 * Names the PyTorch weights of a folder that has no others.
 * @throws VeritError VERIT_MODEL_FILE
 */
export function refusePickle(folder: string): void {
  const names = readdirSync(folder).sort()
  const pickle = names.find(name => PICKLE.test(name))
  if (pickle === undefined || names.some(name => WEIGHTS.test(name))) return
  throw new VeritError('VERIT_MODEL_FILE', {
    file: folder,
    problem: `it holds PyTorch weights (${printable(pickle)}, a pickle, which can run code), which Verit does not read`,
    fix: 'Get the model as safetensors from its source'
  })
}

/** The name, with underscores at the end where a token has it already. */
function freeName(name: string, taken: Set<string>): string {
  const free = taken.has(name) ? freeName(`${name}_`, taken) : name
  taken.add(free)
  return free
}

function readJson(path: string): unknown {
  using file = openRegular(path, 'the configuration of the model')
  const other = otherKind(file, 'json')
  if (other !== undefined) throw new VeritError('VERIT_MODEL_FILE', { file: path, ...other })
  if (file.size > MAX_CONFIG_BYTES)
    throw new VeritError('VERIT_MODEL_FILE', { file: path, problem: `it is larger than ${MAX_CONFIG_BYTES} bytes` })
  try {
    return parseStrictJson(file.readAll())
  } catch (e) {
    if (VeritError.is(e, 'VERIT_JSON') || VeritError.is(e, 'VERIT_CONTENT_TYPE'))
      throw new VeritError('VERIT_MODEL_FILE', { file: path, problem: e.fields.problem }, e)
    throw e
  }
}

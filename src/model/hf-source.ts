/**
 * A model in a folder of Hugging Face's transformers: `config.json` and `model.safetensors`, or its parts.
 * Ternary weights are packed (uint8, `integrations/bitnet.py`) or latent ones in floating point, which are ternarised
 * as the forward pass would.
 */
import { join } from 'node:path'
import type { HfFormat, TernaryStorage } from '../arch/architecture.ts'
import type { Fields } from '../arch/fields.ts'
import { hfFormatOf, hfModelTypes } from '../arch/registry.ts'
import type { TensorFile } from '../formats/tensor-file.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { opTable } from '../ops/table.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { floats } from '../weights/floats.ts'
import { decodeWeights } from '../weights/tensor.ts'
import { codeBytes, unpackCodes } from '../weights/ternary-codes.ts'
import type { ModelConfig } from './config.ts'
import { joinClaims, noClaims, resolveConversation } from './conversation.ts'
import type { Conversation, ConversationClaims, ConversationOverrides } from './conversation.ts'
import { conversationEntries, isConversationKey, replaceEntries } from './gguf-conversation.ts'
import { folderClaims } from './hf-conversation.ts'
import { openWeights, readConfigJson } from './hf-files.ts'
import { HfTensors } from './hf-tensors.ts'
import { padVocabulary, tokenCount } from './hf-vocabulary.ts'
import type { ModelSource } from './model-source.ts'
import { isTernary, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { fileRows, placeRows } from './row-order.ts'

/** Types that safetensors has by the same name as ggml. */
type FloatName = keyof typeof floats

const isFloat = (dtype: string): dtype is FloatName => Object.hasOwn(floats, dtype)

/** @throws VeritError VERIT_MODEL_FILE naming the field */
function readConfig(file: string, json: Fields, format: HfFormat, has: (tensor: string) => boolean): ModelConfig {
  try {
    return format.read(json, has)
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw e
    throw new VeritError('VERIT_MODEL_FILE', { file, problem: `${e.fields.field} ${e.fields.problem}` }, e)
  }
}

/** The format of a configuration. @throws VeritError VERIT_MODEL_FILE if there is none */
function formatOf(file: string, json: Fields): HfFormat {
  const format = hfFormatOf(json)
  if (format !== undefined) return format
  const type = JSON.stringify(json['model_type'])
  throw new VeritError('VERIT_MODEL_FILE', {
    file,
    problem: `model_type is ${type}, where ${hfModelTypes.join(', ')} are supported`
  })
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

/** Weights and the configuration that describes them. */
export interface ModelWeights {
  /** Path, for errors and `general.name`. */
  readonly name: string
  /** Open. They are closed with the source, or if it cannot be made. */
  readonly files: readonly TensorFile[]
  /** The file with the configuration, for errors. */
  readonly configFile: string
  readonly json: Fields
  /** Absent: the one that `model_type` names. */
  readonly format?: HfFormat
}

function openFolder(folder: string): ModelWeights {
  const files = openWeights(folder)
  const configFile = join(folder, 'config.json')
  try {
    return { name: folder, files, configFile, json: readConfigJson(configFile) }
  } catch (e) {
    for (const file of files) file[Symbol.dispose]()
    throw e
  }
}

/** The claims of a tokenizer that stands alone. */
const tokenizerClaims = ({ beginOfText, endOfText, addsBegin }: TextTokenizer): ConversationClaims => ({
  ...noClaims,
  begin: beginOfText === undefined ? [] : [{ token: beginOfText, source: 'the tokenizer' }],
  ends: endOfText === undefined ? [] : [{ token: endOfText, source: 'the tokenizer', role: 'eos' }],
  addsBegin: [{ value: addsBegin, source: 'the tokenizer' }]
})

/** An open folder or checkpoint. Close it after use. */
export class HfSource implements ModelSource, Disposable {
  readonly name: string
  readonly config: ModelConfig
  readonly entries: readonly (readonly [string, GgufValue])[]
  readonly conversation: Conversation
  readonly tokenizer: TextTokenizer
  readonly notes: string[] = []
  /** How ternary weights are stored; undefined for a model that has none. */
  #storage: TernaryStorage | undefined
  #format: HfFormat
  #tensors: HfTensors

  /**
   * @throws VeritError VERIT_MODEL_FILE, VERIT_SAFETENSORS, VERIT_FILE_NOT_FOUND, VERIT_USAGE for an override that
   * names no token
   */
  constructor(from: string | ModelWeights, tokenizer: FolderTokenizer, overrides: ConversationOverrides = {}) {
    const weights = typeof from === 'string' ? openFolder(from) : from
    const { name: path, json, configFile } = weights
    this.name = path
    this.tokenizer = tokenizer.tokenizer
    this.#tensors = new HfTensors(path, weights.files)
    try {
      this.#format = weights.format ?? formatOf(configFile, json)
      this.config = readConfig(configFile, json, this.#format, name => this.#tensors.has(name))
      this.#storage = this.#format.ternaryStorage?.(json)
      this.#tensors.match(parametersOf(this.config), this.#format)
      const own = tokenizer.claims === undefined ? tokenizer.tokenizer : undefined
      const claims = joinClaims(
        typeof from === 'string' ? folderClaims(from, json, own) : tokenizerClaims(tokenizer.tokenizer),
        tokenizer.claims ?? noClaims
      )
      this.conversation = resolveConversation(claims, tokenizer.tokenizer, overrides)
      const name: readonly [string, GgufValue] = [
        'general.name',
        gguf.string(path.split('/').findLast(part => part !== '') ?? path)
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
    const { dtype } = this.#tensors.entry(p)
    return isFloat(dtype) ? dtype : undefined
  }

  rows(p: Parameter, from: number, rows: number): Uint8Array {
    // Ternary rows are put into the order of files when they are written.
    const order = isTernary(p) ? undefined : fileRows(this.config, p.name)
    if (order === undefined) return this.#tensors.rows(p, from, rows)
    return this.#tensors.rows(p, from, rows, bytes => placeRows(bytes, order, bytes.length / p.shape[0]!))
  }

  floats(p: Parameter, from: number, rows: number): Float32Array {
    const name = this.#tensors.name(p)
    const type = this.typeOf(p)
    if (type === undefined)
      return this.#tensors.wrong(
        name,
        `is of type ${this.#tensors.entry(p).dtype}, where F32, F16 and BF16 are supported`
      )
    const width = p.shape.length === 1 ? 1 : p.shape.at(-1)!
    const values = decodeWeights(type, this.rows(p, from, rows), new Float32Array(rows * width), name)
    const addend = this.#format.addend(p.name)
    return addend === 0 ? values : values.map(v => v + addend)
  }

  ternary(p: Parameter): { trits: Int8Array; scale: number } {
    const [out, inputs] = p.shape as [number, number]
    const packed = this.#tensors.entry(p).dtype === 'U8'
    if (packed) return { trits: this.#unpack(p, out, inputs), scale: this.#scale(p) }
    const values = this.floats(p, 0, out)
    if (this.#storage?.latent !== true) {
      if (!values.every(v => v === 0 || v === 1 || v === -1))
        this.#tensors.wrong(this.#tensors.name(p), 'has values besides -1, 0 and 1, where quantization_mode is offline')
      return { trits: Int8Array.from(values), scale: this.#scale(p) }
    }
    // The reference of the operation that training and online quantisation use: the same bits as every executor.
    const codes = new Uint8Array(codeBytes(out, inputs))
    const m = new Float32Array(1)
    opTable.get('ternarize')!.run([values], [codes, m], { O: out, K: inputs })
    return { trits: unpackCodes(codes, out, inputs), scale: m[0]! }
  }

  [Symbol.dispose](): void {
    this.#tensors[Symbol.dispose]()
  }

  /**
   * Fields run across rows: row r is field r div (out / 4) of packed row r mod (out / 4), lowest bits first; codes 0,
   * 1, 2.
   */
  #unpack(p: Parameter, out: number, inputs: number): Int8Array {
    const bytes = this.#tensors.read(this.#tensors.name(p))
    const quarter = (out / 4) * inputs
    const trits = new Int8Array(out * inputs)
    for (let field = 0; field < 4; field++) {
      for (let i = 0; i < quarter; i++) {
        const code = (bytes[i]! >> (2 * field)) & 3
        if (code === 3) this.#tensors.wrong(this.#tensors.name(p), `has a reserved code in byte ${i}`)
        trits[field * quarter + i] = code - 1
      }
    }
    return trits
  }

  #scale(p: Parameter): number {
    const name = this.#tensors.scaleName(p)
    if (!this.#tensors.has(name)) return this.#refuse(`there is no tensor ${name}`)
    const { dtype, shape } = this.#tensors.entryOf(name)
    if (shape.reduce((a, b) => a * b, 1) !== 1 || !isFloat(dtype))
      return this.#refuse(`tensor ${name} is not one floating-point number`)
    const s = decodeWeights(dtype, this.#tensors.read(name), new Float32Array(1), name)[0]!
    const m = Math.fround(this.#storage?.scale === 'divides' ? 1 / s : s)
    return m > 0 && m < Infinity ? m : this.#refuse(`tensor ${name} is ${s}, which gives no positive scale`)
  }

  /** Whether the folder has ternary matrices in floating point, as in training. */
  get latent(): boolean {
    const packed = (p: Parameter): boolean => this.#tensors.entry(p).dtype === 'U8'
    return this.#storage?.latent === true && parametersOf(this.config).some(p => isTernary(p) && !packed(p))
  }

  #padded(entries: FolderTokenizer['entries']): FolderTokenizer['entries'] {
    const { vocab } = this.config
    const tokens = tokenCount(entries)
    const spare = vocab - tokens
    if (spare < 0) this.#refuse(`its tokenizer has ${tokens} tokens, its embedding ${vocab}`)
    if (spare === 0) return entries
    this.notes.push(
      `the embedding has ${vocab} rows and the tokenizer ${tokens} tokens: ` +
        `${spare} unused tokens were added, which no answer holds`
    )
    return padVocabulary(entries, spare)
  }

  #refuse(problem: string): never {
    throw new VeritError('VERIT_MODEL_FILE', { file: this.name, problem })
  }
}

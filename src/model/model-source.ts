/** A model that can be written in another form: its configuration, metadata, and parameters one at a time, whatever they are stored in. */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { decodeWeights } from '../formats/quants.ts'
import type { ModelConfig } from './config.ts'
import { readConfig } from './gguf-config.ts'
import { ggufName } from './gguf-names.ts'
import { readTokenizer } from './gguf-tokenizer.ts'
import { checkVocabulary, tensorFaults } from './load-gguf.ts'
import { parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { isWeightType, readFloats, readTernary } from './read-tensor.ts'
import { fileRows } from './row-order.ts'

export interface ModelSource {
  /** What errors name. */
  readonly name: string
  readonly config: ModelConfig
  /** What else the file says: names, licence, tokenizer, chat template; nothing of `configEntries`. */
  readonly entries: readonly (readonly [string, GgufValue])[]
  /** What a parameter is stored in, as GGUF calls it; undefined where GGUF has no such type. */
  typeOf(p: Parameter): GgufTypeName | undefined
  /** Trits and scale of a ternary parameter, rows in the model's order. */
  ternary(p: Parameter): { trits: Int8Array; scale: number }
  /** The bytes of whole rows of a matrix as they are stored, for a type that `decodeWeights` reads: from row `from` on. */
  rows(p: Parameter, from: number, rows: number): Uint8Array
  /** Rows of a matrix, or a whole vector, as numbers, every one finite. */
  floats(p: Parameter, from: number, rows: number): Float32Array
}

/** Metadata that is written anew. */
const OWN = /^(general\.(architecture|file_type|quantization_version|alignment)|verit\.activation|split\.)/

/** @throws VeritError for a file that `loadModel` would refuse for its structure, configuration, tokenizer or list of tensors */
export function ggufSource(file: GgufFile): ModelSource {
  const { metadata } = file, has = { bias: file.has('output_norm.bias'), head: file.has('output.weight') }
  const config = readConfig(file.name, metadata, file.tensor('token_embd.weight').shape[0]!, has)
  for (const fault of tensorFaults(file, config, parametersOf(config))) throw fault
  checkVocabulary(file, readTokenizer(file.name, metadata), config)
  const architecture = metadata.string('general.architecture'), nameOf = (p: Parameter): string => ggufName(config.kind, p.name)
  const rows = (p: Parameter, from: number, count: number): Uint8Array => {
    const { type } = file.tensor(nameOf(p)), { block, bytes } = ggufTypes[type]
    const row = ((p.shape[1] ?? 1) / block) * bytes, part = new Uint8Array(count * row)
    file.readTensorPart(nameOf(p), from * row, part)
    return part
  }
  return {
    name: file.name, config, rows,
    entries: [...metadata.entries].filter(([key]) => !OWN.test(key) && !key.startsWith(`${architecture}.`)),
    typeOf: p => file.tensor(nameOf(p)).type,
    ternary: p => readTernary(file, nameOf(p), fileRows(config, p.name, architecture)),
    floats: (p, from, count) => {
      const { type } = file.tensor(nameOf(p)), name = nameOf(p)
      if (p.shape.length === 1 || !isWeightType(type)) return readFloats(file, name) // which says what is wrong with a type
      return decodeWeights(type, rows(p, from, count), new Float32Array(count * (p.shape[1] ?? 1)), name)
    },
  }
}

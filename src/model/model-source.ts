/**
 * A model that can be written in another form: its configuration, metadata, and parameters one at a time, whatever
 * they are stored in.
 */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import type { GgufFile } from '../formats/gguf-reader.ts'
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { printable } from '../lib/printable.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { isWeightType, weightType } from '../weights/registry.ts'
import { decodeWeights } from '../weights/tensor.ts'
import type { ModelConfig } from './config.ts'
import { resolveConversation } from './conversation.ts'
import type { Conversation, ConversationOverrides } from './conversation.ts'
import { architectureOf, configEntries, ggufName, readConfig } from './gguf-config.ts'
import { conversationEntries, ggufClaims, replaceEntries } from './gguf-conversation.ts'
import { characterEntries, readTokenizer } from './gguf-tokenizer.ts'
import { checkVocabulary, tensorFaults } from './load-gguf.ts'
import { parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { readFloats, readTernary } from './read-tensor.ts'
import { fileRows } from './row-order.ts'

export interface ModelSource {
  /** Name in errors. */
  readonly name: string
  readonly config: ModelConfig
  /** Metadata to write besides `configEntries`: names, licence, tokenizer, and resolved conversation settings. */
  readonly entries: readonly (readonly [string, GgufValue])[]
  readonly conversation: Conversation
  readonly tokenizer: TextTokenizer
  /** Whether ternary matrices come from latent floating-point weights, which the written file loses. */
  readonly latent: boolean
  /** Differences of the written file from the source, one sentence each. */
  readonly notes: readonly string[]
  /** Stored type of a parameter, by its GGUF name; undefined if GGUF has no such type. */
  typeOf(p: Parameter): GgufTypeName | undefined
  /** Trits and scale of a ternary parameter, rows in the model's order. */
  ternary(p: Parameter): { trits: Int8Array; scale: number }
  /**
   * The stored bytes of whole rows of a matrix, in the order of GGUF files, from row `from` on, for a type of the
   * registry without a tail.
   */
  rows(p: Parameter, from: number, rows: number): Uint8Array
  /** Rows of a matrix, or a whole vector, as numbers, every one finite, in the order of GGUF files. */
  floats(p: Parameter, from: number, rows: number): Float32Array
}

/** Metadata that is written anew. */
const OWN = /^(general\.(architecture|file_type|quantization_version|alignment)|verit\.(activation|bias)$|split\.)/

/**
 * @throws VeritError for a file that `loadModel` would refuse for its structure, configuration, tokenizer or list of
 * tensors, VERIT_USAGE for an override that names no token
 */
export function ggufSource(file: GgufFile, overrides: ConversationOverrides = {}): ModelSource {
  const { metadata } = file
  const config = readConfig(file)
  for (const fault of tensorFaults(file, config, parametersOf(config))) throw fault
  const tokenizer = readTokenizer(file.name, metadata)
  checkVocabulary(file, tokenizer, config)
  const conversation = resolveConversation(ggufClaims(metadata, tokenizer), tokenizer, overrides)
  const architecture = metadata.string('general.architecture')
  const nameOf = (p: Parameter): string => ggufName(config, p.name)
  const rows = (p: Parameter, from: number, count: number): Uint8Array => {
    const { type } = file.tensor(nameOf(p))
    const { block, bytes } = ggufTypes[type]
    const row = (p.shape.at(-1)! / block) * bytes
    const part = new Uint8Array(count * row)
    file.readTensorPart(nameOf(p), from * row, part)
    return part
  }
  return {
    name: file.name,
    config,
    rows,
    conversation,
    tokenizer,
    latent: false,
    notes: leftOut(metadata, architecture, config),
    entries: replaceEntries(
      [...metadata.entries].filter(([key]) => !OWN.test(key) && !key.startsWith(`${architecture}.`)),
      [...characterEntries(tokenizer), ...conversationEntries(conversation)]
    ),
    typeOf: p => file.tensor(nameOf(p)).type,
    ternary: p => readTernary(file, nameOf(p), fileRows(config, p.name)),
    floats: (p, from, count) => {
      const { type } = file.tensor(nameOf(p))
      const name = nameOf(p)
      // which reports an invalid type
      if (p.shape.length === 1 || !isWeightType(type)) return readFloats(file, name)
      const inputs = p.shape.at(-1)!
      if (weightType(type).tail > 0) return readFloats(file, name).subarray(from * inputs, (from + count) * inputs)
      return decodeWeights(type, rows(p, from, count), new Float32Array(count * inputs), name)
    }
  }
}

/** Keys of an architecture whose checked values equal Verit's behaviour: omitting them changes nothing. */
const IMPLIED_KEYS = new RegExp(
  '^(rope\\.(scaling\\..+|scale_linear|dimension_count)|' +
    'attention\\.(key_length|value_length|causal|sliding_window)|expert_(used_)?count)$'
)

/** Keys of the architecture that are not written again, by name. */
function leftOut(metadata: GgufMetadata, architecture: string, config: ModelConfig): string[] {
  const written = new Set(configEntries(config).map(([key]) => key.slice(architectureOf(config).length + 1)))
  const keys = [...metadata.entries.keys()]
    .filter(key => key.startsWith(`${architecture}.`))
    .map(key => key.slice(architecture.length + 1))
  const lost = keys.filter(key => !written.has(key) && !IMPLIED_KEYS.test(key))
  return lost.length === 0
    ? []
    : [
        'left out, because Verit does not know these keys: ' +
          lost.map(key => printable(`${architecture}.${key}`, 80)).join(', ')
      ]
}

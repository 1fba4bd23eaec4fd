/**
 * The architectures that Verit runs, a line each. Of two rows that run files of one name, the first that claims a
 * file is taken.
 */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import type { Architecture, HfFormat, ModelConfig } from './architecture.ts'
import { bitnet } from './bitnet.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3 } from './gemma3.ts'
import { gpt } from './gpt.ts'
import { gpt2 } from './gpt2.ts'
import { granite } from './granite.ts'
import { lfm2 } from './lfm2.ts'
import { llama } from './llama.ts'
import { mistral3 } from './mistral3.ts'
import { olmo2 } from './olmo2.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'
import { qwen3moe } from './qwen3moe.ts'
import { smollm3 } from './smollm3.ts'
import { stablelm } from './stablelm.ts'
import { starcoder2 } from './starcoder2.ts'

const rows: readonly Architecture[] = [
  gpt,
  bitnet,
  llama,
  qwen2,
  qwen3,
  qwen3moe,
  gemma2,
  gemma3,
  phi3,
  smollm3,
  granite,
  mistral3,
  olmo2,
  gpt2,
  starcoder2,
  stablelm,
  lfm2
]

const byKind: ReadonlyMap<string, Architecture> = new Map(rows.map(row => [row.kind, row]))

/** All kinds, in the order of the rows. */
export const kinds: readonly string[] = [...byKind.keys()]

/** Kinds that can be trained. */
export const trainableKinds: readonly string[] = rows.filter(row => row.training !== undefined).map(row => row.kind)

/** The row of a configuration that was checked. */
export function architecture({ kind }: Pick<ModelConfig, 'kind'>): Architecture {
  const row = byKind.get(kind)
  invariant(row !== undefined, `there is no architecture ${kind}`)
  return row
}

/**
 * Checks an untrusted configuration and fills in defaults.
 * @throws VeritError VERIT_MODEL_CONFIG naming the first field that is wrong; unknown fields are wrong
 */
export function parseModelConfig(value: unknown): ModelConfig {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('model', 'must be an object')
  const source = value as Record<string, unknown>
  const row = byKind.get(String(source['kind']))
  return row === undefined ? fail('kind', `must be one of ${kinds.join(', ')}`) : row.parse(source)
}

/** The pre-tokenizer of byte-level BPE in files of a `general.architecture` that do not name it. */
export const unnamedPretokenizer = (ggufName: string): string =>
  rows.find(row => row.ggufNames.includes(ggufName))?.unnamedPretokenizer?.(ggufName) ?? 'default'

/** Values of `model_type` that rows read. */
export const hfModelTypes: readonly string[] = [...new Set(rows.flatMap(row => row.hf?.modelTypes ?? []))]

/** The format of a folder of Hugging Face's transformers, by its `config.json`. Of two, the first that claims it. */
export const hfFormatOf = (json: Fields): HfFormat | undefined =>
  rows
    .map(row => row.hf)
    .find(hf => hf?.modelTypes.some(type => type === json['model_type']) === true && (hf.claims?.(json) ?? true))

/**
 * The architecture of a file.
 * @throws VeritError VERIT_MODEL_FILE with the name of the architecture and a list of the supported ones
 */
export function architectureOfFile(file: GgufFile): Architecture {
  const name = file.metadata.string('general.architecture')
  const row = rows.find(r => r.ggufNames.includes(name) && (r.claims?.(file) ?? true))
  if (row !== undefined) return row
  const known = [...new Set(rows.flatMap(r => r.ggufNames))].sort()
  throw new VeritError('VERIT_MODEL_FILE', {
    file: file.name,
    problem: `its architecture is ${JSON.stringify(name)}; Verit runs ${known.join(', ')}`
  })
}

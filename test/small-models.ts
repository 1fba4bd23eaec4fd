/** A small valid file of each architecture, and files with changed parts: for tests of what is refused. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { referenceExecutor } from '../src/exec/reference.ts'
import { parseGguf } from '../src/formats/gguf-reader.ts'
import type { GgufTypeName } from '../src/formats/gguf-types.ts'
import type { GgufValue } from '../src/formats/gguf-value.ts'
import { writeGguf } from '../src/formats/gguf-writer.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { exportGguf } from '../src/model/export-gguf.ts'
import { initialWeights } from '../src/model/initialise.ts'
import { Tokenizer } from '../src/tokenizer/tokenizer.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-small-models-'))
process.once('exit', () => rmSync(folder, { recursive: true }))
const path = join(folder, 'm.gguf')

export const letters = [...'abcdefghijklmnopqrs']
const tokenizer = Tokenizer.fromParts({
  tokens: letters,
  tokenTypes: letters.map(() => 1),
  merges: [],
  pretokenizer: 'character'
})

const sizes = { layers: 2, hidden: 32, heads: 4, ffn: 48, context: 64, vocab: letters.length, eps: Math.fround(1e-5) }
const grouped = { ...sizes, kvHeads: 2 }

/** The fields of a model of each kind. */
const fields: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  gpt: { ...sizes, bias: true },
  bitnet: grouped,
  llama: { ...grouped, tied: false, ropeDivisors: [1, 1, 2, 8], biases: ['attn_q', 'attn_output'] },
  qwen2: grouped,
  qwen3: { ...grouped, headDim: 16 },
  qwen3moe: { ...grouped, experts: 4, expertsUsed: 2, expertFfn: 32 },
  gemma2: { ...grouped, window: 8 },
  gemma3: { ...grouped, window: 8, headDim: 16, ropeScaling: 'linear', ropeFactor: 8 },
  phi3: {
    ...grouped,
    ropeDim: 6,
    ropeOriginalContext: 16,
    ropeDivisorsLong: [1, 2, 3],
    ropeDivisorsShort: [1, 1, 1]
  },
  smollm3: grouped,
  granite: { ...grouped, embeddingScale: 12, residualScale: Math.fround(0.22), logitScale: 4, attentionScale: 0.125 },
  mistral3: {
    ...grouped,
    ropeScaling: 'yarn',
    ropeFactor: 16,
    ropeOriginalContext: 16,
    temperatureScale: Math.fround(0.1),
    yarnLogMultiplier: 1
  },
  olmo2: { ...grouped, tied: false },
  gpt2: sizes,
  starcoder2: { ...grouped, biases: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down'] },
  stablelm: { ...grouped, ropeDim: 2 },
  lfm2: { ...grouped, convWidth: 3, attentionLayers: [1] }
}

/** The bytes of a small model. @param more fields that differ from the usual ones of its kind */
export async function smallModel(kind: string, more: Readonly<Record<string, unknown>> = {}): Promise<Buffer> {
  const config = parseModelConfig({ kind, ...fields[kind], ...more })
  const weights = initialWeights(config, 5)
  await exportGguf(path, referenceExecutor(), config, tokenizer, p => weights.get(p.name)!, { name: 'test' })
  return readFileSync(path)
}

export interface ModelTensor {
  name: string
  type: GgufTypeName
  shape: readonly number[]
  data: Uint8Array
}
export interface ModelParts {
  metadata: Map<string, GgufValue>
  tensors: ModelTensor[]
}

/** The file with a change made to its parts, written anew: its container is sound. */
export function changedModel(bytes: Buffer, change: (parts: ModelParts) => void): Buffer {
  const file = parseGguf(bytes)
  const parts: ModelParts = {
    metadata: new Map(file.metadata.entries),
    tensors: file.tensors.map(({ name, type, shape }) => ({ name, type, shape, data: file.readTensor(name) }))
  }
  change(parts)
  writeGguf(path, { metadata: [...parts.metadata], tensors: parts.tensors })
  return readFileSync(path)
}

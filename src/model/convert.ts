/**
 * Writes a model as GGUF with other weight formats: ternary matrices as a ternary type; the others as a mix, or as
 * types with an encoder in the registry. Works on one tensor at a time, and reports lost precision.
 */
import { setImmediate } from 'node:timers/promises'
import type { GgufContent, GgufSlowTensor } from '../formats/gguf-writer.ts'
import { writeGgufSlowly } from '../formats/gguf-writer.ts'
import { ggufTypes } from '../formats/gguf-types.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { architecture } from './config.ts'
import { EncodePool } from '../weights/encode-pool.ts'
import type { TernaryTypeName, WeightTypeName } from '../weights/registry.ts'
import { mixFileType } from '../weights/type-mix.ts'
import type { MixName } from '../weights/type-mix.ts'
import type { ModelConfig } from './config.ts'
import type { Conversation } from './conversation.ts'
import { TensorEncoder } from './encode-tensors.ts'
import type { PrecisionLoss, TensorReport } from './encode-tensors.ts'
import { fixedBytes, fixedTensors } from './fixed-tensors.ts'
import { architectureOf, configEntries, ggufName } from './gguf-config.ts'
import type { ModelSource } from './model-source.ts'
import { elementsOf, isTernaryModel, parametersOf } from './parameters.ts'

export interface ConvertOptions {
  /** Default I2_S, which keeps every scale to the bit; for llama.cpp TQ2_0. */
  readonly ternary?: TernaryTypeName
  /** Mix for all matrices that are not ternary. Default: unchanged. */
  readonly mix?: MixName
  /** Type of the token embedding and of a separate head: one of `encodedTypes`. Default: as `mix` says. */
  readonly head?: WeightTypeName
  /** Type of the linear layers of a model that is not ternary, as `head`. Default: as `mix` says. */
  readonly matrices?: WeightTypeName
  /**
   * Writes only what releases of the program read, or refuses. Ternary rows that are not whole blocks of `ternary`
   * become F16.
   */
  readonly for?: 'llama.cpp'
  /** Threads that encode. Default 1. The file does not depend on their number. */
  readonly threads?: number
  /** Whether an existing file is replaced. Default false. */
  readonly overwrite?: boolean
  /** Told the weights that are written, and of how many. */
  readonly onProgress?: (done: number, of: number) => void
  /** Once it is aborted, its reason is thrown, and nothing is left of the file. */
  readonly signal?: AbortSignal
}

export interface Conversion {
  readonly bytes: number
  readonly tensors: number
  readonly architecture: string
  /** Conversation settings of the file. */
  readonly conversation: Conversation
  /** Whether ternary matrices were made from latent floating-point weights. */
  readonly latent: boolean
  /** Differences from the source, one sentence each. */
  readonly notes: readonly string[]
  /** In the order of the tensors; empty if every number is unchanged. */
  readonly losses: readonly PrecisionLoss[]
  /** Every tensor with its formats and its error. */
  readonly reports: readonly TensorReport[]
}

/**
 * Yields to the event loop after every slice of a matrix and after every tensor, for example for signal handlers.
 * @throws VeritError VERIT_FILE_EXISTS, VERIT_MODEL_WRITE for a matrix that the type cannot represent, VERIT_TENSOR for
 *   invalid values
 */
export async function convertModel(
  source: ModelSource,
  path: string,
  options: ConvertOptions = {}
): Promise<Conversion> {
  const { config } = source
  const { overwrite = false, threads = 1 } = options
  const parameters = parametersOf(config)
  const name = architectureOf(config)
  const ternary = options.ternary ?? (options.for === undefined ? 'I2_S' : 'TQ2_0')
  if (options.for !== undefined) checkForLlamaCpp(config, ternary)
  const total = parameters.reduce((n, p) => n + elementsOf(p), 0)
  await using pool = new EncodePool(threads, total)
  const encoder = new TensorEncoder(source, path, { ...options, ternary }, pool)
  let before = 0
  const progress = async (done: number): Promise<void> => {
    options.onProgress?.(done, total)
    await setImmediate()
    options.signal?.throwIfAborted()
  }
  const fixed = fixedTensors(config).map((t): GgufSlowTensor => ({
    name: t.name,
    shape: [t.values.length],
    type: 'F32',
    data: () => Promise.resolve(fixedBytes(t))
  }))
  const tensors = parameters.map((p): GgufSlowTensor => {
    const type = encoder.typeOf(p)
    return {
      name: ggufName(config, p.name),
      shape: p.shape,
      type,
      data: async () => {
        const data = await encoder.data(p, type, within => progress(before + within))
        await progress((before += elementsOf(p)))
        return data
      }
    }
  })
  const metadata: GgufContent['metadata'] = [
    ['general.architecture', gguf.string(name)],
    ['general.file_type', gguf.u32(fileType(config, { ...options, ternary }))],
    ['general.quantization_version', gguf.u32(2)],
    ...configEntries(config),
    ...(source.entries as readonly (readonly [string, GgufValue])[])
  ]
  const bytes = await writeGgufSlowly(path, { metadata, tensors: [...tensors, ...fixed] }, overwrite)
  const { conversation, latent, notes } = source
  return {
    bytes,
    tensors: tensors.length + fixed.length,
    architecture: name,
    conversation,
    latent,
    notes,
    losses: encoder.losses(),
    reports: encoder.reports
  }
}

/** `general.file_type`: the format of most matrices. */
function fileType(config: ModelConfig, { ternary, mix, matrices }: ConvertOptions): number {
  if (isTernaryModel(config)) return ggufTypes[ternary!].fileType!
  if (matrices !== undefined) return ggufTypes[matrices].fileType!
  return mixFileType(mix ?? 'F32')
}

/**
 * Refuses models that no release of llama.cpp can run: its only BitNet (`bitnet`) has SiLU, and the embedding as its
 * head.
 * @throws VeritError VERIT_USAGE
 */
function checkForLlamaCpp(config: ModelConfig, ternary: TernaryTypeName): void {
  const refuse = (problem: string, hint: string): never => {
    throw new VeritError('VERIT_USAGE', { problem: `llama.cpp ${problem}`, hint })
  }
  if (!isTernaryModel(config)) return
  if (ternary === 'I2_S') refuse('does not read I2_S', 'Its ternary types are tq2_0 (the default here) and tq1_0')
  const found = architecture(config).llamaCppProblem(config)
  if (found !== undefined) refuse(found.problem, found.hint)
}

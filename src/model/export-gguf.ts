/**
 * Writes a trained model with its tokenizer as one GGUF file. A ternary matrix is stored as the codes and the scale
 * that its forward pass in training used, everything else as f32, so that the loaded model gives the same loss to the
 * last bit.
 */
import type { Executor } from '../exec/plan.ts'
import { ggufTypes } from '../formats/gguf-types.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import type { GgufTensorInput } from '../formats/gguf-writer.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { invariant } from '../lib/errors.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { encodeTernary } from '../weights/ternary-tensor.ts'
import type { ModelConfig } from './config.ts'
import { fixedBytes, fixedTensors } from './fixed-tensors.ts'
import { architectureOf, configEntries, ggufName } from './gguf-config.ts'
import { tokenizerEntries } from './gguf-tokenizer.ts'
import { elementsOf, isTernary, isTernaryModel, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { codeBytes, ternarizePlan, unpackCodes } from '../weights/ternary-codes.ts'
import { fileRows, placeRows } from './row-order.ts'

export interface ExportOptions {
  /** `general.name`. */
  name: string
  /** Additional entries, such as the model's origin. */
  entries?: readonly [string, GgufValue][]
}

/** Writes the file atomically and returns its size in bytes. @param values the latent f32 values of a parameter */
export async function exportGguf(
  path: string,
  executor: Executor,
  config: ModelConfig,
  tokenizer: Tokenizer,
  values: (p: Parameter) => Float32Array,
  options: ExportOptions
): Promise<number> {
  invariant(tokenizer.vocabSize === config.vocab, 'the tokenizer has the vocabulary of the model')
  const tensors: GgufTensorInput[] = []
  for (const p of parametersOf(config)) tensors.push(await tensorOf(executor, config, p, values(p)))
  for (const t of fixedTensors(config))
    tensors.push({ name: t.name, shape: [t.values.length], type: 'F32', data: () => fixedBytes(t) })
  return writeGguf(path, {
    metadata: [
      ['general.architecture', gguf.string(architectureOf(config))],
      ['general.name', gguf.string(options.name)],
      ['general.file_type', gguf.u32(ggufTypes[isTernaryModel(config) ? 'I2_S' : 'F32'].fileType!)],
      ['general.quantization_version', gguf.u32(2)],
      ...configEntries(config),
      ...tokenizerEntries(tokenizer),
      ...(options.entries ?? [])
    ],
    tensors
  })
}

async function tensorOf(
  executor: Executor,
  config: ModelConfig,
  p: Parameter,
  values: Float32Array
): Promise<GgufTensorInput> {
  const plain = { name: ggufName(config, p.name), shape: p.shape }
  const bytes = (a: Float32Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)
  const order = fileRows(config, p.name)
  if (!isTernary(p))
    return {
      ...plain,
      type: 'F32',
      data: bytes(order === undefined ? values : placeRows(values, order, p.shape[1] ?? 1))
    }
  const { trits: ours, scale } = await ternarize(executor, p, values)
  const trits = order === undefined ? ours : placeRows(ours, order, p.shape[1]!)
  if (elementsOf(p) % 128 === 0)
    return { ...plain, type: 'I2_S', data: encodeTernary('I2_S', trits, Float32Array.of(scale)) }
  // I2_S has whole blocks of 128 weights. Tensors that do not fill them are kept as the values -m, 0 and m.
  return { ...plain, type: 'F32', data: bytes(Float32Array.from(trits, t => t * scale)) }
}

/** The ternary form of a latent matrix, by the operation that its forward pass uses. */
export async function ternarize(
  executor: Executor,
  p: Parameter,
  values: Float32Array
): Promise<{ trits: Int8Array; scale: number }> {
  const [out, inputs] = p.shape as [number, number]
  const plan = executor.load(ternarizePlan(out, inputs))
  const codes = new Uint8Array(codeBytes(out, inputs))
  const scale = new Float32Array(1)
  try {
    await plan.run({ values, codes, scale })
  } finally {
    plan.dispose()
  }
  return { trits: unpackCodes(codes, out, inputs), scale: scale[0]! }
}

/**
 * A BitNet file of random weights, generated while it is written, one tensor at a time, for sizes at which latent
 * weights would take minutes. Codes are uniform over -1, 0, 1; embeddings are near normal with deviation 0.02, as F16;
 * norms are 1.
 */
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTensorInput } from '../formats/gguf-writer.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { gguf } from '../formats/gguf-value.ts'
import { f16Bits } from '../lib/half.ts'
import type { BitnetConfig } from '../model/config.ts'
import { architectureOf, configEntries, ggufName } from '../model/gguf-config.ts'
import { tokenizerEntries } from '../model/gguf-tokenizer.ts'
import { elementsOf, isTernary, parametersOf } from '../model/parameters.ts'
import type { Parameter } from '../model/parameters.ts'
import { everyByte, fill, fillHalves, ternaryCodeBytes, xorshift } from '../weights/random-fill.ts'
import type { Random } from '../weights/random-fill.ts'
import { ternaryBytes } from '../weights/ternary-tensor.ts'
import { byteTokenizer } from './random-model.ts'

export interface RandomPackedOptions {
  /** Type of the token embedding. Default F16. */
  readonly embedding?: 'F16' | 'Q6_K'
  readonly seed?: number
}

/**
 * Writes the file, projections as I2_S, and returns its size in bytes. The number of weights in every projection must
 * be a multiple of 128.
 */
export function writeRandomPacked(
  path: string,
  config: BitnetConfig,
  { embedding = 'F16', seed = 1 }: RandomPackedOptions = {}
): number {
  const random = xorshift(seed)
  return writeGguf(path, {
    metadata: [
      ['general.architecture', gguf.string(architectureOf(config))],
      ['general.name', gguf.string('random')],
      ['general.file_type', gguf.u32(ggufTypes.I2_S.fileType!)],
      ['general.quantization_version', gguf.u32(2)],
      ...configEntries(config),
      ...tokenizerEntries(byteTokenizer(config.vocab))
    ],
    tensors: parametersOf(config).map(p => tensor(config, p, embedding, random))
  })
}

function tensor(config: BitnetConfig, p: Parameter, embedding: 'F16' | 'Q6_K', random: Random): GgufTensorInput {
  const name = ggufName(config, p.name)
  const shape = p.shape
  const elements = elementsOf(p)
  if (isTernary(p)) return { name, shape, type: 'I2_S', data: () => randomI2s(elements, random) }
  if (shape.length > 1)
    return { name, shape, type: embedding, data: () => (embedding === 'F16' ? randomF16 : randomQ6)(elements, random) }
  return { name, shape, type: 'F32', data: () => new Uint8Array(new Float32Array(elements).fill(1).buffer) }
}

function randomI2s(weights: number, random: Random): Uint8Array {
  const bytes = new Uint8Array(ternaryBytes('I2_S', weights))
  fill(bytes, weights / 4, ternaryCodeBytes, random)
  new DataView(bytes.buffer).setFloat32(weights / 4, 1 / 64, true)
  return bytes
}

function randomF16(values: number, random: Random): Uint8Array {
  const halves = new Uint16Array(values)
  fillHalves(halves, random)
  return new Uint8Array(halves.buffer)
}

/** Codes and scales are uniform. */
function randomQ6(values: number, random: Random): Uint8Array {
  const bytes = new Uint8Array((values / 256) * 210)
  const factor = f16Bits(0.02 / 18.5 / 74) // the deviations of a code and of a scale
  fill(bytes, bytes.length, everyByte, random)
  for (let end = 210; end <= bytes.length; end += 210) {
    bytes[end - 2] = factor & 255
    bytes[end - 1] = factor >> 8
  }
  return bytes
}

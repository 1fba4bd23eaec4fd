/**
 * A BitNet file of random weights made as it is written, one tensor at a time in memory: for measuring at sizes where drawing and ternarising latent weights would
 * take minutes. Codes are uniform over -1, 0, 1; embeddings are near normal with deviation 0.02, as F16; norms are 1.
 */
import type { GgufTensorInput } from '../formats/gguf-writer.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { gguf } from '../formats/gguf-value.ts'
import { f16Bits } from '../lib/half.ts'
import { ternaryBytes } from '../formats/ternary.ts'
import { invariant } from '../lib/errors.ts'
import type { BitnetConfig } from '../model/config.ts'
import { architectures, configEntries } from '../model/gguf-config.ts'
import { ggufName } from '../model/gguf-names.ts'
import { tokenizerEntries } from '../model/gguf-tokenizer.ts'
import { elementsOf, parametersOf } from '../model/parameters.ts'
import type { Parameter } from '../model/parameters.ts'
import { byteTokenizer } from './random-model.ts'

export interface RandomPackedOptions {
  /** Of the token embedding. Default F16. */
  readonly embedding?: 'F16' | 'Q6_K'
  readonly seed?: number
}

/** Writes the file, projections as I2_S, and returns its size in bytes. Every projection has to hold a multiple of 128 weights. */
export function writeRandomPacked(path: string, config: BitnetConfig, { embedding = 'F16', seed = 1 }: RandomPackedOptions = {}): number {
  const random = xorshift(seed)
  return writeGguf(path, {
    metadata: [
      ['general.architecture', gguf.string(architectures.bitnet)], ['general.name', gguf.string('random')], ['general.file_type', gguf.u32(40)],
      ['general.quantization_version', gguf.u32(2)], ...configEntries(config), ...tokenizerEntries(byteTokenizer(config.vocab)),
    ],
    tensors: parametersOf(config).map(p => tensor(config, p, embedding, random)),
  })
}

function tensor(config: BitnetConfig, p: Parameter, embedding: 'F16' | 'Q6_K', random: () => number): GgufTensorInput {
  const name = ggufName(config.kind, p.name), shape = p.shape, elements = elementsOf(p)
  if (p.ternary) return { name, shape, type: 'I2_S', data: () => randomI2s(elements, random) }
  if (shape.length > 1) return { name, shape, type: embedding, data: () => (embedding === 'F16' ? randomF16 : randomQ6)(elements, random) }
  return { name, shape, type: 'F32', data: () => new Uint8Array(new Float32Array(elements).fill(1).buffer) }
}

/** The 81 bytes of four codes, each 0, 1 or 2. */
export const ternaryCodeBytes = Uint8Array.from({ length: 81 }, (_, v) => (v % 3) | (Math.floor(v / 3) % 3) << 2 | (Math.floor(v / 9) % 3) << 4 | Math.floor(v / 27) << 6)

function randomI2s(weights: number, random: () => number): Uint8Array {
  const bytes = new Uint8Array(ternaryBytes('I2_S', weights))
  fill(bytes, weights / 4, ternaryCodeBytes, random)
  new DataView(bytes.buffer).setFloat32(weights / 4, 1 / 64, true)
  return bytes
}

/** Sums of four uniform numbers, 4,096 of them, drawn from at random. */
function randomF16(values: number, random: () => number): Uint8Array {
  const uniform = (): number => random() / 2 ** 32 - 0.5
  const table = Uint16Array.from({ length: 4096 }, () => f16Bits(0.02 * Math.sqrt(3) * (uniform() + uniform() + uniform() + uniform())))
  const halves = new Uint16Array(values)
  for (let i = 0; i < values; i++) halves[i] = table[random() & 4095]!
  return new Uint8Array(halves.buffer)
}

const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i)

/** Codes and scales are uniform. */
function randomQ6(values: number, random: () => number): Uint8Array {
  const bytes = new Uint8Array((values / 256) * 210), factor = f16Bits(0.02 / 18.5 / 74) // the deviations of a code and of a scale
  fill(bytes, bytes.length, everyByte, random)
  for (let end = 210; end <= bytes.length; end += 210) {
    bytes[end - 2] = factor & 255
    bytes[end - 1] = factor >> 8
  }
  return bytes
}

/** Fills the first `length` bytes with entries of a table of at most 256, two for each random number. */
export function fill(bytes: Uint8Array, length: number, table: Uint8Array, random: () => number): void {
  for (let i = 0; i < length; i += 2) {
    const r = random()
    bytes[i] = table[((r & 0xffff) * table.length) >>> 16]!
    if (i + 1 < length) bytes[i + 1] = table[((r >>> 16) * table.length) >>> 16]!
  }
}

/** Marsaglia's xorshift32 (Journal of Statistical Software 8 (14), 2003): unsigned 32-bit numbers, fast and of no other merit. */
export function xorshift(seed: number): () => number {
  invariant(Number.isInteger(seed) && seed > 0, 'a seed is a whole number from 1')
  let x = seed | 0
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x >>> 0
  }
}

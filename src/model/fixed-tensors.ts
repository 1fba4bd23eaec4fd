/**
 * Tensors of a file besides a model's parameters, with values that the configuration fixes: zeros for biases that a
 * model lacks, and the divisors of rotary frequencies.
 */
import type { FixedTensor, ModelConfig } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'
import type { GgufFile } from '../formats/gguf-reader.ts'

export const fixedTensors = (config: ModelConfig): FixedTensor[] => architecture(config).fixedTensors(config)

/** Their bytes as F32. */
export const fixedBytes = ({ values }: FixedTensor): Uint8Array<ArrayBuffer> => new Uint8Array(values.buffer)

/** The problem of such a tensor, or undefined. */
export function fixedFault(file: GgufFile, { name, values }: FixedTensor): string | undefined {
  const { type, shape } = file.tensor(name)
  const zeros = values.every(v => v === 0)
  const expected = zeros ? `zeros of F32 ${values.length} are` : `F32 ${values.length} is`
  if (type !== 'F32' || shape.join() !== String(values.length))
    return `tensor ${name} is ${type} ${shape.join(' x ')}, where ${expected} expected`
  const wanted = fixedBytes({ name, values })
  if (file.readTensor(name).every((byte, i) => byte === wanted[i])) return undefined
  return zeros
    ? `tensor ${name} holds a value that is not zero, where zeros are expected`
    : `tensor ${name} has other values than the configuration`
}

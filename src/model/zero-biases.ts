/**
 * Biases of zeros. llama.cpp and transformers know GPT-2 with biases only, so a file of a gpt without biases has them
 * as zeros, and says so (`verit.bias` false): Verit then runs the model that was trained, without them.
 */
import type { GgufFile } from '../formats/gguf-reader.ts'
import type { ModelConfig } from './config.ts'
import { ggufName } from './gguf-names.ts'
import { parametersOf } from './parameters.ts'

/** The key that tells zeros from biases that were trained. */
export const HAS_BIAS = 'verit.bias'

/** GGUF names and widths of the biases that such a file has besides the model's parameters; none for other models. */
export function zeroBiases(config: ModelConfig): { readonly name: string; readonly width: number }[] {
  if (config.kind !== 'gpt' || config.bias) return []
  const own = new Set(parametersOf(config).map(p => p.name))
  return parametersOf({ ...config, bias: true })
    .filter(p => !own.has(p.name))
    .map(p => ({ name: ggufName(config.kind, p.name), width: p.shape[0]! }))
}

/** What is wrong with a tensor that has to be zeros, or undefined. */
export function zeroFault(file: GgufFile, name: string, width: number): string | undefined {
  const { type, shape } = file.tensor(name)
  if (type !== 'F32' || shape.join() !== String(width)) {
    const is = `${type} ${shape.join(' x ')}`
    return `tensor ${name} is ${is}, where zeros of F32 ${width} are expected (${HAS_BIAS} is false)`
  }
  return file.readTensor(name).every(byte => byte === 0)
    ? undefined
    : `tensor ${name} holds a value that is not zero, and ${HAS_BIAS} is false`
}

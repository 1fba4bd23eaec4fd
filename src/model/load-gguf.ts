/**
 * Loads a GGUF file for serving and evaluation: configuration, tokenizer, and the parameters in the form that the
 * serving graph reads. Nothing in the file is trusted: names, shapes, types and values are checked against the
 * configuration first.
 */
import { totalmem } from 'node:os'
import type { Executor } from '../exec/plan.ts'
import type { GgufFile } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import type { ModelConfig } from './config.ts'
import { fixedFault, fixedTensors } from './fixed-tensors.ts'
import { ggufName, readConfig } from './gguf-config.ts'
import { scaleName } from './gguf-names.ts'
import { readTokenizer } from './gguf-tokenizer.ts'
import { isTernary, parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { packWeights } from './pack-weights.ts'
import type { PackOptions } from './pack-weights.ts'
import { checkType, readFloats, readTernary } from './read-tensor.ts'
import type { PackedWeights } from './weights.ts'

export interface LoadedModel {
  readonly config: ModelConfig
  readonly tokenizer: TextTokenizer
  /** For `servingGraph` and `evaluationGraph`. */
  readonly weights: PackedWeights
}

/**
 * Bytes that this process can ever have. Where a container sets no limit, or a sandbox hides one, Node reports 0 or
 * more than any machine has.
 */
const machineMemory = (): number => Math.min(totalmem() || Infinity, process.constrainedMemory() || Infinity)

export interface LoadOptions extends PackOptions {
  /** Bytes that the weights may take. Default: those of the machine, or of the container. */
  memory?: number | undefined
}

/**
 * @throws VeritError VERIT_MODEL_FILE, VERIT_GGUF, VERIT_TENSOR, VERIT_TOKENIZER_FILE, VERIT_MEMORY, or VERIT_USAGE for
 *   a head that does not support screening
 */
export async function loadModel(
  file: GgufFile,
  executor: Executor,
  { memory = machineMemory(), ...options }: LoadOptions = {}
): Promise<LoadedModel> {
  const model = readModel(file)
  return { ...model, weights: await packWeights(file, executor, model.config, memory, options) }
}

/**
 * All of a model but its weights. It checks names, shapes and types of tensors, and reads none of their values.
 * @throws VeritError VERIT_MODEL_FILE, VERIT_GGUF, VERIT_TOKENIZER_FILE
 */
export function readModel(file: GgufFile): Omit<LoadedModel, 'weights'> {
  const config = readConfig(file)
  const parameters = parametersOf(config)
  for (const fault of tensorFaults(file, config, parameters)) throw fault
  for (const { name } of parameters) checkType(file, ggufName(config, name))
  const tokenizer = readTokenizer(file.name, file.metadata)
  checkVocabulary(file, tokenizer, config)
  return { config, tokenizer }
}

/** @throws VeritError VERIT_MODEL_FILE */
export function checkVocabulary(file: GgufFile, tokenizer: TextTokenizer, config: ModelConfig): void {
  if (tokenizer.vocabSize !== config.vocab)
    refuse(file, `its tokenizer has ${tokenizer.vocabSize} tokens, its embedding ${config.vocab}`)
}

function refuse(file: GgufFile, problem: string): never {
  throw new VeritError('VERIT_MODEL_FILE', { file: file.name, problem })
}

/**
 * Every parameter is there with its shape, and nothing else is: an unknown tensor could be a part of the model that
 * would be left out.
 */
export function* tensorFaults(
  file: GgufFile,
  config: ModelConfig,
  parameters: readonly Parameter[]
): Generator<VeritError> {
  const fault = (problem: string): VeritError => new VeritError('VERIT_MODEL_FILE', { file: file.name, problem })
  const expected = new Map(parameters.map(p => [ggufName(config, p.name), p]))
  for (const [name, p] of expected) {
    if (!file.has(name))
      yield new VeritError('VERIT_GGUF', {
        file: file.name,
        offset: file.dataOffset,
        problem: `there is no tensor ${name}`
      })
    else {
      const { shape } = file.tensor(name)
      if (shape.join() !== p.shape.join())
        yield fault(`tensor ${name} is ${shape.join(' x ')}, where its metadata asks for ${p.shape.join(' x ')}`)
    }
  }
  const fixed = new Map(fixedTensors(config).map(t => [t.name, t]))
  const factors = new Set([...expected].filter(([, p]) => isTernary(p)).map(([name]) => scaleName(name)))
  for (const { name, type, shape } of file.tensors) {
    if (factors.has(name)) {
      if (type !== 'F32' || shape.join() !== '1')
        yield fault(`tensor ${name} is ${type} ${shape.join(' x ')}, where a factor of the weights is one F32`)
    } else if (fixed.has(name)) {
      const problem = fixedFault(file, fixed.get(name)!)
      if (problem !== undefined) yield fault(problem)
    } else if (!expected.has(name))
      yield fault(`it has a tensor ${printable(name, 80)}, which a ${config.kind} model of Verit does not have`)
  }
}

/** Looks at every value of a parameter whose shape was checked. @throws VeritError VERIT_TENSOR, VERIT_MODEL_FILE */
export function checkValues(file: GgufFile, config: ModelConfig, parameter: Parameter): void {
  if (isTernary(parameter)) readTernary(file, ggufName(config, parameter.name))
  else readFloats(file, ggufName(config, parameter.name))
}

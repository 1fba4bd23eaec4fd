/**
 * Loads a GGUF file for serving and evaluation: configuration, tokenizer, and the parameters in the form that the serving graph reads. Nothing in
 * the file is trusted: names, shapes, types and values are checked against the configuration first.
 */
import { totalmem } from 'node:os'
import type { Executor } from '../exec/plan.ts'
import type { GgufFile } from '../formats/gguf-reader.ts'
import { bf16ToF32, f16ToF32 } from '../formats/half.ts'
import { decodeTernary } from '../formats/ternary.ts'
import { weightLayout } from '../graph/layout.ts'
import { Graph } from '../graph/graph.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import type { ModelConfig } from './config.ts'
import { readConfig } from './gguf-config.ts'
import { ggufName } from './gguf-names.ts'
import { readTokenizer } from './gguf-tokenizer.ts'
import { parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'
import { packCodes, panelsPlan } from './plans.ts'
import { servingParts, servingWeights } from './weights.ts'

export interface LoadedModel {
  readonly config: ModelConfig
  readonly tokenizer: Tokenizer
  /** The buffer 'weights' of `servingGraph` and of `evaluationGraph(..., 'serving')`. */
  readonly weights: Uint8Array
}

/** Bytes that this process can ever have. Where a container sets no limit, or a sandbox hides one, Node reports 0 or more than any machine has. */
const machineMemory = (): number => Math.min(totalmem() || Infinity, process.constrainedMemory() || Infinity)

/**
 * @param memory bytes that the weights may take; default: those of the machine, or of the container
 * @throws VeritError VERIT_MODEL_FILE, VERIT_GGUF, VERIT_TENSOR, VERIT_TOKENIZER_FILE or VERIT_MEMORY
 */
export async function loadModel(file: GgufFile, executor: Executor, memory: number = machineMemory()): Promise<LoadedModel> {
  const bias = file.has('output_norm.bias')
  const config = readConfig(file.name, file.metadata, file.tensor('token_embd.weight').shape[0]!, bias)
  const parameters = parametersOf(config)
  for (const fault of tensorFaults(file, config, parameters)) throw fault
  const tokenizer = readTokenizer(file.name, file.metadata)
  checkVocabulary(file, tokenizer, config)

  const g = new Graph()
  servingWeights(g, config)
  const layout = weightLayout(g)
  // The file may be holes: what it claims costs nothing on the disk, and the system would end the process rather than say no.
  if (layout.bytes > memory) throw new VeritError('VERIT_MEMORY', { problem: `the weights of ${file.name} take ${layout.bytes} bytes, and there are ${memory}` })
  const arena = executor.allocate(layout.bytes)
  const offsets = new Map(layout.entries.map(e => [e.name, e.offset]))
  const parts = Map.groupBy(servingParts(config), part => part.of.name)
  for (const p of parameters) {
    const name = ggufName(config.kind, p.name)
    const f32 = p.ternary ? undefined : readFloats(file, name)
    for (const part of parts.get(p.name)!) {
      const at = offsets.get(part.name)!
      const size = part.shape.reduce((a, b) => a * b, 1)
      if (part.form === 'values') new Float32Array(arena, at, size).set(f32!)
      else if (part.form === 'panels') await panels(executor, p, f32!, new Float32Array(arena, at, size))
      else if (part.form === 'codes') {
        const { trits, scale } = readTernary(file, name)
        packCodes(trits, p.shape[0]!, p.shape[1]!, new Uint8Array(arena, at, size))
        new Float32Array(arena, offsets.get(`${p.name}.m`)!, 1)[0] = scale
      }
    }
  }
  return { config, tokenizer, weights: new Uint8Array(arena) }
}

/** @throws VeritError VERIT_MODEL_FILE */
export function checkVocabulary(file: GgufFile, tokenizer: Tokenizer, config: ModelConfig): void {
  if (tokenizer.vocabSize !== config.vocab) refuse(file, `its tokenizer has ${tokenizer.vocabSize} tokens, its embedding ${config.vocab}`)
}

function refuse(file: GgufFile, problem: string): never {
  throw new VeritError('VERIT_MODEL_FILE', { file: file.name, problem })
}

/** Every parameter is there with its shape, and nothing else is: an unknown tensor could be a part of the model that would be left out. */
export function* tensorFaults(file: GgufFile, config: ModelConfig, parameters: readonly Parameter[]): Generator<VeritError> {
  const fault = (problem: string): VeritError => new VeritError('VERIT_MODEL_FILE', { file: file.name, problem })
  const expected = new Map(parameters.map(p => [ggufName(config.kind, p.name), p]))
  for (const [name, p] of expected) {
    if (!file.has(name)) yield new VeritError('VERIT_GGUF', { file: file.name, offset: file.dataOffset, problem: `there is no tensor ${name}` })
    else {
      const { shape } = file.tensor(name)
      if (shape.join() !== p.shape.join()) yield fault(`tensor ${name} is ${shape.join(' x ')}, where its metadata asks for ${p.shape.join(' x ')}`)
    }
  }
  for (const { name } of file.tensors) {
    if (!expected.has(name)) yield fault(`it has a tensor ${printable(name, 80)}, which a ${config.kind} model of Verit does not have`)
  }
}

/** Looks at every value of a parameter whose shape was checked. @throws VeritError VERIT_TENSOR, VERIT_MODEL_FILE */
export function checkValues(file: GgufFile, config: ModelConfig, parameter: Parameter): void {
  if (parameter.ternary) readTernary(file, ggufName(config.kind, parameter.name))
  else readFloats(file, ggufName(config.kind, parameter.name))
}

async function panels(executor: Executor, p: Parameter, values: Float32Array, target: Float32Array): Promise<void> {
  const plan = executor.load(panelsPlan(p.shape[0]!, p.shape[1]!))
  try {
    await plan.run({ values, panels: target })
  } finally {
    plan.dispose()
  }
}

/** A tensor of a floating-point type, as f32 (exact), every value finite. */
function readFloats(file: GgufFile, name: string): Float32Array {
  const { type } = file.tensor(name)
  if (type !== 'F32' && type !== 'F16' && type !== 'BF16') {
    return refuse(file, `tensor ${name} is of type ${type}; F32, F16 and BF16 are supported here`)
  }
  const { buffer } = file.readTensor(name)
  const values = type === 'F32' ? new Float32Array(buffer) : (type === 'F16' ? f16ToF32 : bf16ToF32)(new Uint16Array(buffer))
  if (!values.every(Number.isFinite)) throw new VeritError('VERIT_TENSOR', { tensor: name, problem: 'it holds a value that is not a finite number' })
  return values
}

/** A ternary matrix with one scale: packed, or floats that are all -m, 0 or m. */
function readTernary(file: GgufFile, name: string): { trits: Int8Array; scale: number } {
  const { type, elements } = file.tensor(name)
  const wrong = (problem: string): never => {
    throw new VeritError('VERIT_TENSOR', { tensor: name, problem })
  }
  if (type === 'I2_S' || type === 'TQ1_0' || type === 'TQ2_0') {
    const { trits, scales, block } = decodeTernary(type, file.readTensor(name), elements, name)
    // A block of zeros may carry any scale.
    const used = scales.filter((_, b) => trits.subarray(b * block, (b + 1) * block).some(t => t !== 0))
    if (used.some(s => s !== used[0])) return wrong('its blocks have different scales, where Verit runs one for a matrix')
    const scale = used[0] ?? 1
    return scale > 0 ? { trits, scale } : wrong(`its scale is ${scale}, where a positive number is expected`)
  }
  const values = readFloats(file, name)
  const scale = Math.abs(values.find(v => v !== 0) ?? 1)
  if (!values.every(v => v === 0 || Math.abs(v) === scale)) return wrong('it is not ternary: its values have different magnitudes')
  return { trits: Int8Array.from(values, Math.sign), scale }
}

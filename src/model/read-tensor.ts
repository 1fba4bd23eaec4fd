/**
 * Tensors of a file as numbers, every value checked. @throws VeritError VERIT_TENSOR, VERIT_MODEL_FILE for invalid data
 */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { VeritError } from '../lib/errors.ts'
import { isTernaryType, isWeightType, weightType, weightTypes } from '../weights/registry.ts'
import type { WeightTypeName } from '../weights/registry.ts'
import { decodeWeights } from '../weights/tensor.ts'
import { decodeTernary } from '../weights/ternary-tensor.ts'
import { scaleName } from './gguf-names.ts'
import { pickRows } from './row-order.ts'

const wrong = (tensor: string, problem: string): never => {
  throw new VeritError('VERIT_TENSOR', { tensor, problem })
}

/** The type of a tensor. @throws VeritError VERIT_MODEL_FILE for a type without a row in the registry */
export function checkType(file: GgufFile, name: string): WeightTypeName {
  const { type } = file.tensor(name)
  if (isWeightType(type)) return type
  const supported = [...weightTypes.keys()].join(', ')
  throw new VeritError('VERIT_MODEL_FILE', {
    file: file.name,
    problem: `tensor ${name} is of type ${type}; ${supported} are supported here`
  })
}

/** A tensor of any registered type, as f32, every value finite. F32 is read in place, because it may be large. */
export function readFloats(file: GgufFile, name: string): Float32Array {
  const { elements } = file.tensor(name)
  const type = checkType(file, name)
  const raw = file.readTensor(name)
  if (type !== 'F32') return decodeWeights(type, raw, new Float32Array(elements), name)
  const values = new Float32Array(raw.buffer)
  return values.every(Number.isFinite) ? values : wrong(name, 'it holds a value that is not a finite number')
}

/**
 * Rows of a matrix as f32, in the order of the file, every value finite.
 * @throws VeritError VERIT_TENSOR, VERIT_MODEL_FILE
 */
export function readRows(file: GgufFile, name: string, from: number, rows: number): Float32Array<ArrayBuffer> {
  const { type, shape, byteLength } = file.tensor(name)
  const inputs = shape.at(-1)!
  const out = shape.reduce((n, d) => n * d, 1) / inputs
  if (!isWeightType(type) || weightType(type).tail > 0) {
    return new Float32Array(readFloats(file, name).subarray(from * inputs, (from + rows) * inputs))
  }
  const raw = new Uint8Array((byteLength / out) * rows)
  file.readTensorPart(name, (byteLength / out) * from, raw)
  return decodeWeights(type, raw, new Float32Array(rows * inputs), name)
}

/**
 * The further factor of a ternary matrix (`scaleName`), 1 where the file has none: m = scale · factor, rounded to f32.
 */
export function readFactor(file: GgufFile, matrix: string): number {
  const name = scaleName(matrix)
  return file.has(name) ? positive(readFloats(file, name)[0]!, name) : 1
}

/**
 * A ternary matrix with one scale, its factor included: packed, or floats that are all -m, 0 or m. @param order rows of
 * the file, where the file has them in another order
 */
export function readTernary(file: GgufFile, name: string, order?: Int32Array): { trits: Int8Array; scale: number } {
  const { trits, scale } = read(file, name)
  return { trits: order === undefined ? trits : pickRows(trits, order, trits.length / order.length), scale }
}

function read(file: GgufFile, name: string): { trits: Int8Array; scale: number } {
  const { type, elements } = file.tensor(name)
  const factor = readFactor(file, name)
  if (isTernaryType(type)) {
    const { trits, scales, block } = decodeTernary(type, file.readTensor(name), elements, name)
    // A block of zeros may carry any scale.
    const used = scales.filter((_, b) => trits.subarray(b * block, (b + 1) * block).some(t => t !== 0))
    if (used.some(s => s !== used[0]))
      return wrong(name, 'its blocks have different scales, where Verit runs one for a matrix')
    return { trits, scale: positive(Math.fround((used[0] ?? 1) * factor), name) }
  }
  const values = readFloats(file, name)
  const scale = Math.abs(values.find(v => v !== 0) ?? 1)
  if (!values.every(v => v === 0 || Math.abs(v) === scale))
    return wrong(name, 'it is not ternary: its values have different magnitudes')
  return { trits: Int8Array.from(values, Math.sign), scale: positive(Math.fround(scale * factor), name) }
}

const positive = (scale: number, name: string): number =>
  scale > 0 && scale < Infinity ? scale : wrong(name, `its scale is ${scale}, where a positive number is expected`)

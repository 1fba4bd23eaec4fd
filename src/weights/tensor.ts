/**
 * Whole tensors, or rows of them, to and from float32: every value is checked, and errors name the tensor. The rows of
 * the registry do the work on bytes.
 */
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { weightType } from './registry.ts'
import type { WeightTypeName } from './registry.ts'
import { reservedCode } from './ternary-tensor.ts'
import { checkLength, weightBytes } from './weight-type.ts'

/**
 * Unpacks `target.length` weights, a whole number of blocks, from exactly the bytes they take: a tensor, or rows of it
 * where the type has no tail.
 * @param name of the tensor, for errors
 * @returns `target`, every value finite
 * @throws VeritError VERIT_TENSOR for a scale or a value that is not finite, and for a reserved ternary code
 */
export function decodeWeights<T extends Float32Array>(
  type: WeightTypeName,
  raw: Uint8Array,
  target: T,
  name: string
): T {
  checkLength(type, raw, target.length)
  const row = weightType(type)
  const fault = row.scaleFault(raw) ?? reservedCode(row, raw, target.length)
  if (fault !== undefined) refuse(name, fault)
  row.decode(raw, target)
  return target
}

/**
 * Packs weights, which must be a whole number of blocks of a type that Verit writes.
 * @param name of the tensor, for errors
 * @throws VeritError VERIT_TENSOR for a weight that is not finite, or too large for the type
 */
export function encodeWeights(type: WeightTypeName, weights: Float32Array, name: string): Uint8Array {
  const { encode } = weightType(type)
  invariant(encode !== undefined, `Verit does not write ${type}`)
  const raw = new Uint8Array(weightBytes(type, weights.length))
  const fault = encode(weights, raw)
  return fault === undefined ? raw : refuse(name, fault)
}

function refuse(name: string, problem: string): never {
  throw new VeritError('VERIT_TENSOR', { tensor: printable(name), problem })
}

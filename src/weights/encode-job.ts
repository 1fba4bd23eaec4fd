/** Encodes a slice of a matrix and measures the error: the work of one call, in the main thread or a worker. */
import { isWeightType, weightType } from './registry.ts'
import type { WeightTypeName } from './registry.ts'
import { weightBytes } from './weight-type.ts'

export interface EncodeJob {
  readonly type: WeightTypeName
  /** Whole rows. */
  readonly values: Float32Array<ArrayBuffer>
}

export interface Encoded {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Sum of the squared differences between the encoded and the given values. */
  readonly difference: number
  /** Sum of the squares of the values. */
  readonly square: number
}

/** Returns a string, the reason, if a value does not fit into the type. */
export function encodeSlice({ type, values }: EncodeJob): Encoded | string {
  const { encode, decode } = weightType(type)
  if (encode === undefined || !isWeightType(type)) return `Verit does not write ${type}`
  const bytes = new Uint8Array(weightBytes(type, values.length))
  const fault = encode(values, bytes)
  if (fault !== undefined) return fault
  const kept = new Float32Array(values.length)
  decode(bytes, kept)
  let difference = 0
  let square = 0
  for (let i = 0; i < values.length; i++) {
    difference += (kept[i]! - values[i]!) ** 2
    square += values[i]! ** 2
  }
  return { bytes, difference, square }
}

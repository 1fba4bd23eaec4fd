/** Plans of one operation, for preparing a trained model's matrices for serving. */
import type { Attribute, DType, Plan } from '../exec/plan.ts'
import { ternaryBytes } from '../formats/ternary.ts'
import { base3Bytes, putBase3 } from '../ops/base3.ts'
import { ternaryFormats } from '../ops/repack.ts'

interface Part {
  readonly name: string
  readonly dtype: DType
  readonly bytes: number
}

function single(op: string, inputs: readonly Part[], outputs: readonly Part[], attributes: readonly Attribute[]): Plan {
  const parts = [...inputs, ...outputs]
  return {
    tensors: parts.map(({ dtype, bytes }, i) => ({ dtype, bytes, buffer: i + 1, offset: 0 })),
    steps: [{ op, inputs: inputs.map((_, i) => i), outputs: outputs.map((_, i) => inputs.length + i), attributes }],
    buffers: ['arena', ...parts.map(p => p.name)],
    bufferBytes: [0, ...parts.map(p => p.bytes)],
    limits: { rows: 1, outputs: 1 },
  }
}

/** `values` [out, in] -> `panels` [⌈out/32⌉, in, 32]. */
export function panelsPlan(out: number, inputs: number): Plan {
  const panels = { name: 'panels', dtype: 'f32', bytes: Math.ceil(out / 32) * inputs * 128 } as const
  return single('panels', [{ name: 'values', dtype: 'f32', bytes: out * inputs * 4 }], [panels], [{ int: out }, { int: inputs }, { int: 1 }])
}

/** `raw` f16 [out, in] -> `panels` [⌈out/32⌉, in, 32], f16. */
export function halfPanelsPlan(out: number, inputs: number): Plan {
  const panels = { name: 'panels', dtype: 'f16', bytes: Math.ceil(out / 32) * inputs * 64 } as const
  return single('halfPanels', [{ name: 'raw', dtype: 'f16', bytes: out * inputs * 2 }], [panels], [{ int: out }, { int: inputs }, { int: 1 }])
}

/** `raw` Q6_K blocks [out, in / 256] -> `codes`, `s` and `d` of 6-bit weights. */
export function sixBitPlan(out: number, inputs: number): Plan {
  const weights = Math.ceil(out / 16) * 16 * inputs
  const parts = [{ name: 'codes', dtype: 'u8', bytes: weights * 0.75 }, { name: 's', dtype: 'i8', bytes: weights / 16 }, { name: 'd', dtype: 'f32', bytes: weights / 64 }] as const
  return single('repackSixBit', [{ name: 'raw', dtype: 'u8', bytes: ((out * inputs) / 256) * 210 }], parts, [{ int: out }, { int: inputs }])
}

/** `raw` f16 rows [out, in] -> `codes`, `s`, `d` and `errors` of their 6-bit copy. */
export function screenPlan(out: number, inputs: number): Plan {
  const rows = Math.ceil(out / 16) * 16, weights = rows * inputs
  const parts = [
    { name: 'codes', dtype: 'u8', bytes: weights * 0.75 }, { name: 's', dtype: 'i8', bytes: weights / 16 }, { name: 'd', dtype: 'f32', bytes: weights / 64 }, { name: 'errors', dtype: 'f32', bytes: rows * 8 },
  ] as const
  return single('screenSixBit', [{ name: 'raw', dtype: 'f16', bytes: out * inputs * 2 }], parts, [{ int: out }, { int: inputs }])
}

/** `raw` Q8_0 blocks [out, in / 32] -> `codes` and `d` (f16) of 8-bit weights. */
export function eightBitPlan(out: number, inputs: number): Plan {
  const weights = Math.ceil(out / 16) * 16 * inputs
  const parts = [{ name: 'codes', dtype: 'u8', bytes: weights }, { name: 'd', dtype: 'f16', bytes: weights / 16 }] as const
  return single('repackEightBit', [{ name: 'raw', dtype: 'u8', bytes: ((out * inputs) / 32) * 34 }], parts, [{ int: out }, { int: inputs }])
}

/** `raw` bytes of a packed ternary tensor (`ternaryFormats`) -> ternary `codes`. */
export function repackPlan(out: number, inputs: number, format: number, base3: boolean): Plan {
  const bytes = ternaryBytes(ternaryFormats[format]!, out * inputs)
  return single('repackTernary', [{ name: 'raw', dtype: 'u8', bytes }], [{ name: 'codes', dtype: 'u8', bytes: (base3 ? base3Bytes : codeBytes)(out, inputs) }],
    [{ int: out }, { int: inputs }, { int: format }, { int: base3 ? 1 : 0 }])
}

/** Bytes of the ternary codes of a matrix. */
export const codeBytes = (out: number, inputs: number): number => Math.ceil(out / 16) * Math.ceil(inputs / 16) * 64

/** Latent `values` [out, in] -> ternary `codes` and their `scale`. */
export function ternarizePlan(out: number, inputs: number): Plan {
  return single('ternarize', [{ name: 'values', dtype: 'f32', bytes: out * inputs * 4 }],
    [{ name: 'codes', dtype: 'u8', bytes: codeBytes(out, inputs) }, { name: 'scale', dtype: 'f32', bytes: 4 }], [{ int: out }, { int: inputs }])
}

/** Trits -> codes five to a byte, into `codes` of `base3Bytes` bytes. */
export function packBase3(trits: Int8Array, out: number, inputs: number, codes: Uint8Array): void {
  codes.fill(0)
  for (let o = 0; o < out; o++) for (let k = 0; k < inputs; k++) putBase3(codes, o, k, inputs, trits[o * inputs + k]! + 1)
}

/** Place of weight (o, k) in the codes: the byte, and how far its two bits are shifted (docs/arithmetic.md, ternarize). */
const place = (o: number, k: number, blocks: number): [byte: number, shift: number] =>
  [(((o >> 4) * blocks + (k >> 4)) * 16 + (o & 15)) * 4 + (k & 3), 2 * ((k & 15) >> 2)]

/** Ternary codes -> trits -1, 0, 1, row-major [out, in]. */
export function unpackCodes(codes: Uint8Array, out: number, inputs: number): Int8Array {
  const trits = new Int8Array(out * inputs)
  const blocks = Math.ceil(inputs / 16)
  for (let o = 0; o < out; o++) {
    for (let k = 0; k < inputs; k++) {
      const [byte, shift] = place(o, k, blocks)
      trits[o * inputs + k] = ((codes[byte]! >> shift) & 3) - 1
    }
  }
  return trits
}

/** Trits -> ternary codes, whose padding holds code 1 (zero), into `codes` of `codeBytes` bytes. */
export function packCodes(trits: Int8Array, out: number, inputs: number, codes: Uint8Array): void {
  codes.fill(0b01010101)
  const blocks = Math.ceil(inputs / 16)
  for (let o = 0; o < out; o++) {
    for (let k = 0; k < inputs; k++) {
      const [byte, shift] = place(o, k, blocks)
      codes[byte] = (codes[byte]! & ~(3 << shift)) | ((trits[o * inputs + k]! + 1) << shift)
    }
  }
}

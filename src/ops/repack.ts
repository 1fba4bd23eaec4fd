/**
 * Packed ternary tensors of GGUF to the codes of ternaryMatmul or, with `base3` 1, of ternaryMatmulBase3, without
 * unpacked weights in between. A reserved code is an error.
 */
import { i2sCode, tq1Code, tq2Code } from '../lib/ternary-codes.ts'
import { base3Shape, putBase3 } from './base3.ts'
import { op, u8 } from './op.ts'
import { packedShape, putCode } from './ternary.ts'
import type { Dim } from './sizes.ts'

/** By the attribute `format`. */
export const ternaryFormats = ['I2_S', 'TQ2_0', 'TQ1_0'] as const
const codes = [i2sCode, tq2Code, tq1Code]

/** Bytes of the raw tensor. */
function rawBytes(format: Dim, O: Dim, K: Dim): number {
  const n = typeof O === 'number' && typeof K === 'number' && [0, 1, 2].includes(format as number) ? O * K : NaN
  return format === 0
    ? n % 128 === 0
      ? n / 4 + 32
      : NaN
    : Number(K) % 256 === 0
      ? (n / 256) * (format === 1 ? 66 : 54)
      : NaN
}

export const repackTernary = op({
  name: 'repackTernary',
  inputs: ['raw'],
  outputs: ['t'],
  attributes: { O: 'int', K: 'int', format: 'int', base3: 'int' },
  infer: (_, { O, K, format, base3 = 0 }) => ({
    O,
    K,
    format: [0, 1, 2].includes(format as number) ? format : undefined,
    base3
  }),
  operands: a => ({
    inputs: [u8(rawBytes(a.format, a.O, a.K))],
    outputs: [a.base3 === 1 ? base3Shape(a.O, a.K) : packedShape(a.base3 === 0 ? a.O : NaN, a.K)]
  }),
  check: ([raw], { O, K, format }) => {
    const code = codes[format]!
    for (let i = 0; i < O * K; i++) if (code(raw as Uint8Array, i) === 3) return `weight ${i} has a reserved code`
    return null
  },
  run: ([raw], [t], { O, K, format, base3 }) => {
    const code = codes[format]!
    const put = base3 ? putBase3 : putCode
    t.fill(base3 ? 0 : 0x55)
    for (let o = 0; o < O; o++) for (let k = 0; k < K; k++) put(t, o, k, K, code(raw as Uint8Array, o * K + k))
  }
})

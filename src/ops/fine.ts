/**
 * Activations of 14 bits for heads of Q6_K and Q8_0 (fine-q6-k.ts, fine-q8-0.ts): a row is rounded to integers of at
 * most 8191 and split into two int8. The rounding error is too small to change the result of the last norm, and
 * products stay exact.
 */
import { TINY_SCALE, max32, rne } from '../lib/float.ts'
import { ceilDiv, f32, i32, i8, op, up16 } from './op.ts'
import { maxRow, scratch } from './reduce.ts'

const fround = Math.fround
const FINE = 8191

export const quantizeFine = op({
  name: 'quantizeFine',
  inputs: ['x'],
  outputs: ['q', 'scale', 'sum'],
  attributes: { N: 'int', K: 'int' },
  infer: ([x]) => ({ N: x.shape[0], K: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.K)], outputs: [i8(a.N, 2, up16(a.K)), f32(a.N), i32(a.N, ceilDiv(a.K, 16))] }),
  run: ([x], [q, scale, sum], { N, K }) => {
    const K16 = Math.ceil(K / 16) * 16
    const magnitude = scratch(0, K)
    sum.fill(0)
    for (let n = 0; n < N; n++) {
      for (let k = 0; k < K; k++) magnitude[k] = Math.abs(x[n * K + k]!)
      const a = max32(maxRow(magnitude, 0, K), TINY_SCALE)
      const s = fround(FINE / a)
      for (let k = 0; k < K16; k++) {
        const y = k < K ? fround(x[n * K + k]! * s) : 0
        const v = y !== y ? 0 : Math.max(-FINE, Math.min(FINE, rne(y)))
        const low = ((v + 64) & 127) - 64
        q[2 * n * K16 + k] = (v - low) >> 7
        q[(2 * n + 1) * K16 + k] = low
        sum[(n * K16 + k) >> 4]! += v
      }
      scale[n] = a / FINE
    }
  }
})

/**
 * BitLinear in parts (BitNet b1.58, Ma et al. 2024): int8 activations with a scale per row, weights of -1, 0, 1 with
 * one scale per matrix, their exact integer product. Gradients are straight-through: rounding counts as the identity,
 * scales as constants, so the derivative "by q" is the one by the row that was quantised and the derivative "by t"
 * lands on the latent weight.
 */
import { TINY_SCALE, max32, rne, roundUp } from '../lib/float.ts'
import { ceilDiv, f32, i32, i8, op, u8, up16, type Data, type Value } from './op.ts'
import { maxRow, scratch, sumRow } from './reduce.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

/** rne(x) in low … high; 0 for NaN. */
const toRange = (x: number, low: number, high: number): number => (x !== x ? 0 : Math.max(low, Math.min(high, rne(x))))

export const packedShape = (O: Dim, K: Dim): Value => u8(ceilDiv(O, 16), ceilDiv(K, 16), 16, 4)

/** Where the code of weight (o, k) is: byte and shift. */
const byteOf = (o: number, k: number, K16: number): number =>
  (((o >> 4) * (K16 >> 4) + (k >> 4)) * 16 + (o & 15)) * 4 + (k & 3)
const shiftOf = (k: number): number => ((k & 15) >> 2) * 2

/** Writes the code of weight (o, k). */
export function putCode(t: Data, o: number, k: number, K: number, code: number): void {
  const at = byteOf(o, k, roundUp(K, 16))
  const shift = shiftOf(k)
  t[at] = (t[at]! & ~(3 << shift)) | (code << shift)
}

export const quantizeRows = op({
  name: 'quantizeRows',
  inputs: ['x'],
  outputs: ['q', 'scale', 'sum'],
  attributes: { N: 'int', K: 'int' },
  infer: ([x]) => ({ N: x.shape[0], K: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.K)], outputs: [i8(a.N, up16(a.K)), f32(a.N), i32(a.N)] }),
  gradient: b => [b.dy[0]],
  run: ([x], [q, scale, sum], { N, K }) => {
    const K16 = roundUp(K, 16)
    const magnitude = scratch(0, K)
    for (let n = 0; n < N; n++) {
      for (let k = 0; k < K; k++) magnitude[k] = Math.abs(x[n * K + k]!)
      const a = max32(maxRow(magnitude, 0, K), TINY_SCALE)
      const s = fround(127 / a)
      let total = 0
      for (let k = 0; k < K16; k++) {
        const code = k < K ? toRange(fround(x[n * K + k]! * s), -128, 127) : 0
        q[n * K16 + k] = code
        total += code
      }
      scale[n] = a / 127
      sum[n] = total
    }
  }
})

export const dequantizeRows = op({
  name: 'dequantizeRows',
  inputs: ['q', 'scale'],
  outputs: ['xhat'],
  attributes: { N: 'int', K: 'int' },
  infer: ([q], { K }) => ({ N: q.shape[0], K }),
  operands: a => ({ inputs: [i8(a.N, up16(a.K)), f32(a.N)], outputs: [f32(a.N, a.K)] }),
  run: ([q, scale], [xhat], { N, K }) => {
    const K16 = roundUp(K, 16)
    for (let n = 0; n < N; n++) {
      for (let k = 0; k < K; k++) xhat[n * K + k] = q[n * K16 + k]! * scale[n]!
    }
  }
})

export const ternarize = op({
  name: 'ternarize',
  inputs: ['w'],
  outputs: ['t', 'm'],
  attributes: { O: 'int', K: 'int' },
  infer: ([w]) => ({ O: w.shape[0], K: w.shape[1] }),
  operands: a => ({ inputs: [f32(a.O, a.K)], outputs: [packedShape(a.O, a.K), f32(1)] }),
  gradient: b => [b.dy[0]],
  run: ([w], [t, m], { O, K }) => {
    const magnitude = scratch(0, K)
    const rows = scratch(1, O)
    for (let o = 0; o < O; o++) {
      for (let k = 0; k < K; k++) magnitude[k] = Math.abs(w[o * K + k]!)
      rows[o] = sumRow(magnitude, 0, K)
    }
    m[0] = max32(fround(sumRow(rows, 0, O) / fround(O * K)), TINY_SCALE)
    const i = fround(1 / m[0])
    t.fill(0x55) // code 1, the weight 0, everywhere
    for (let o = 0; o < O; o++) {
      for (let k = 0; k < K; k++) putCode(t, o, k, K, toRange(fround(w[o * K + k]! * i), -1, 1) + 1)
    }
  }
})

export const unternarize = op({
  name: 'unternarize',
  inputs: ['t', 'm'],
  outputs: ['what'],
  attributes: { O: 'int', K: 'int' },
  infer: (_, { O, K }) => ({ O, K }),
  operands: a => ({ inputs: [packedShape(a.O, a.K), f32(1)], outputs: [f32(a.O, a.K)] }),
  run: ([t, m], [what], { O, K }) => {
    const K16 = roundUp(K, 16)
    const values = [-m[0]!, 0, m[0], m[0]]
    for (let o = 0; o < O; o++) {
      for (let k = 0; k < K; k++) what[o * K + k] = values[(t[byteOf(o, k, K16)]! >> shiftOf(k)) & 3]!
    }
  }
})

export const ternaryMatmul = op({
  name: 'ternaryMatmul',
  inputs: ['q', 'scale', 'sum', 't', 'm'],
  outputs: ['y'],
  attributes: { N: 'int', O: 'int', K: 'int' },
  infer: ([q], { O, K }) => ({ N: q.shape[0], O, K }),
  operands: a => ({
    inputs: [i8(a.N, up16(a.K)), f32(a.N), i32(a.N), packedShape(a.O, a.K), f32(1)],
    outputs: [f32(a.N, a.O)]
  }),
  gradient: b => {
    const [q, scale, , t, m] = b.inputs
    const dy = b.dy[0]
    const { O, K } = b.a
    if (!dy) return [null, null, null, null, null]
    const dx = b.needs[0] ? b.apply('matmul', [dy, b.apply('unternarize', [t, m], { O, K })[0]])[0] : null
    const dw = b.needs[3]
      ? b.apply('matmul', [dy, b.apply('dequantizeRows', [q, scale], { K })[0]], { transposeA: 1 })[0]
      : null
    return [dx, null, null, dw, null]
  },
  run: ([q, scale, , t, m], [y], { N, O, K }) => {
    const K16 = roundUp(K, 16)
    ternaryProduct(q, scale, m, y, { N, O, K, K16 }, (o, k) => ((t[byteOf(o, k, K16)]! >> shiftOf(k)) & 3) - 1)
  }
})

/** The product, for any packing of the weights. */
export function ternaryProduct(
  q: Data,
  scale: Data,
  m: Data,
  y: Data,
  { N, O, K, K16 }: Record<'N' | 'O' | 'K' | 'K16', number>,
  weight: (o: number, k: number) => number
): void {
  const weights = new Int8Array(K)
  for (let o = 0; o < O; o++) {
    for (let k = 0; k < K; k++) weights[k] = weight(o, k)
    for (let n = 0; n < N; n++) {
      let acc = 0
      for (let k = 0; k < K; k++) acc += q[n * K16 + k]! * weights[k]!
      y[n * O + o] = fround(acc) * fround(m[0]! * scale[n]!)
    }
  }
}

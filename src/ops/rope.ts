/**
 * Rotary position embedding, rotating halves (RoFormer, Su et al. 2021): of each head the first R dimensions turn, in
 * pairs (i, i + R/2).
 */
import { fma32 } from '../lib/float.ts'
import { f32, i32, op, times } from './op.ts'
import { indexProblem } from './columns.ts'

const fround = Math.fround

export const rope = op({
  name: 'rope',
  inputs: ['x', 'positions', 'cos', 'sin'],
  outputs: ['y'],
  attributes: { N: 'int', H: 'int', D: 'int', T: 'int', inverse: 'int', R: 'int' },
  infer: ([x, , cos], { H, inverse = 0 }) => {
    const D = Number(x.shape[1]) / Number(H)
    const R = times(cos.shape[1] ?? NaN, 2)
    return { N: x.shape[0], H, D, T: cos.shape[0], inverse, R: Number(R) <= D ? R : undefined }
  },
  operands: a => {
    const table = f32(a.T, times(a.R, 0.5))
    const x = f32(a.N, times(a.H, a.D))
    return { inputs: [x, i32(a.N), table, table], outputs: [x] }
  },
  gradient: b => [
    b.dy[0] && b.apply('rope', [b.dy[0], ...b.inputs.slice(1)], { H: b.a.H, inverse: b.a.inverse ? 0 : 1 })[0],
    null,
    null,
    null
  ],
  check: ([, positions], { T }) => indexProblem('positions', positions, 0, T),
  run: ([x, positions, cos, sin], [y], { N, H, D, inverse, R }) => {
    const half = R / 2
    for (let n = 0; n < N; n++) {
      for (let h = 0; h < H; h++) {
        const low = (n * H + h) * D
        const high = low + half
        for (let i = 0; i < half; i++) {
          const c = cos[positions[n]! * half + i]
          const s = inverse ? -sin[positions[n]! * half + i]! : sin[positions[n]! * half + i]
          const a = x[low + i]
          const b = x[high + i]
          y[low + i] = fma32(-b!, s!, fround(a! * c!))
          y[high + i] = fma32(a!, s!, fround(b! * c!))
        }
        for (let i = R; i < D; i++) y[low + i] = x[low + i]!
      }
    }
  }
})

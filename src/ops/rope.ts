/** Rotary position embedding, rotating halves (RoFormer, Su et al. 2021): pairs are (i, i + D/2). */
import { fma32 } from '../lib/float.ts'
import { f32, i32, op, times } from './op.ts'
import { indexProblem } from './columns.ts'

const fround = Math.fround

export const rope = op({
  name: 'rope',
  inputs: ['x', 'positions', 'cos', 'sin'],
  outputs: ['y'],
  attributes: { N: 'int', H: 'int', D: 'int', T: 'int', inverse: 'int' },
  infer: ([x, , cos], { H, inverse = 0 }) => ({ N: x.shape[0], H, D: times(cos.shape[1] ?? NaN, 2), T: cos.shape[0], inverse }),
  operands: a => {
    const table = f32(a.T, times(a.D, 0.5)), x = f32(a.N, times(a.H, a.D))
    return { inputs: [x, i32(a.N), table, table], outputs: [x] }
  },
  gradient: b => [b.dy[0] && b.apply('rope', [b.dy[0], ...b.inputs.slice(1)], { H: b.a.H, inverse: b.a.inverse ? 0 : 1 })[0], null, null, null],
  check: ([, positions], { T }) => indexProblem('positions', positions, 0, T),
  run: ([x, positions, cos, sin], [y], { N, H, D, inverse }) => {
    const half = D / 2
    for (let n = 0; n < N; n++) {
      for (let h = 0; h < H; h++) {
        const low = (n * H + h) * D, high = low + half
        for (let i = 0; i < half; i++) {
          const c = cos[positions[n] * half + i]
          const s = inverse ? -sin[positions[n] * half + i] : sin[positions[n] * half + i]
          const a = x[low + i], b = x[high + i]
          y[low + i] = fma32(-b, s, fround(a * c))
          y[high + i] = fma32(a, s, fround(b * c))
        }
      }
    }
  },
})
